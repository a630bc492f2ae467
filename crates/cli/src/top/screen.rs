//! What the terminal shows.

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table};

use super::sample::{Order, Row, short};

/// What is shown, and how.
pub(super) struct Screen {
    pub(super) file: String,
    pub(super) order: Order,
    /// The first row that is shown.
    pub(super) first: usize,
}

/// What the keys do, at the bottom.
const HELP: &str = "q quit  m made  n name  t total  r rate  up/down scroll";

impl Screen {
    /// Takes a key that does not end the program.
    pub(super) fn key(&mut self, key: KeyCode, rows: usize) {
        match key {
            KeyCode::Char('m') => self.order = Order::Made,
            KeyCode::Char('n') => self.order = Order::Name,
            KeyCode::Char('t') => self.order = Order::Total,
            KeyCode::Char('r') => self.order = Order::Rate,
            KeyCode::Down | KeyCode::Char('j') => self.first += 1,
            KeyCode::Up | KeyCode::Char('k') => self.first = self.first.saturating_sub(1),
            KeyCode::PageDown => self.first += 10,
            KeyCode::PageUp => self.first = self.first.saturating_sub(10),
            KeyCode::Home => self.first = 0,
            KeyCode::End => self.first = rows,
            _ => {}
        }
        self.first = self.first.min(rows.saturating_sub(1));
    }

    /// Draws the rows.
    pub(super) fn draw(&self, frame: &mut Frame<'_>, rows: &[Row]) {
        let [head, body, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let title = format!("{}: {} counters", self.file, rows.len());
        frame.render_widget(Paragraph::new(title), head);
        frame.render_widget(Paragraph::new(HELP), foot);
        if rows.is_empty() {
            frame.render_widget(Paragraph::new("nothing has counted here yet"), body);
            return;
        }
        let number =
            |text: String| Cell::new(Text::from(Line::from(text).alignment(Alignment::Right)));
        let lines = rows.iter().skip(self.first).map(|row| {
            let rate = row.rate.map_or_else(|| "-".to_owned(), short);
            TableRow::new([
                Cell::new(row.name.as_str()),
                number(row.total.to_string()),
                number(rate),
            ])
        });
        let widths = [
            Constraint::Min(12),
            Constraint::Length(20),
            Constraint::Length(12),
        ];
        let header = TableRow::new([
            Cell::new("counter"),
            number("total".to_owned()),
            number("per second".to_owned()),
        ])
        .style(Style::new().add_modifier(Modifier::BOLD));
        frame.render_widget(Table::new(lines, widths).header(header), body);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn row(name: &str, total: u64, rate: Option<f64>) -> Row {
        Row {
            name: name.to_owned(),
            total,
            rate,
        }
    }

    fn shown(screen: &Screen, rows: &[Row], width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame, rows)).unwrap();
        terminal.backend().to_string()
    }

    fn screen() -> Screen {
        Screen {
            file: "counts".to_owned(),
            order: Order::Made,
            first: 0,
        }
    }

    #[test]
    fn rows_have_totals_and_rates() {
        let rows = [row("hits", 123_456, Some(2_500.0)), row("misses", 7, None)];
        let text = shown(&screen(), &rows, 70, 6);
        assert!(text.contains("counts: 2 counters"), "{text}");
        let line = |name: &str| {
            text.lines()
                .find(|line| line.contains(name))
                .unwrap()
                .to_owned()
        };
        assert!(
            line("hits").contains("123456") && line("hits").contains("2.50 k"),
            "{text}"
        );
        assert!(
            line("misses").contains('7') && line("misses").contains('-'),
            "{text}"
        );
        assert!(text.contains("q quit"), "{text}");
    }

    #[test]
    fn it_scrolls_and_stops_at_the_end() {
        let rows: Vec<Row> = (0..50).map(|i| row(&format!("row {i}"), i, None)).collect();
        let mut screen = screen();
        screen.key(KeyCode::End, rows.len());
        assert!(shown(&screen, &rows, 60, 8).contains("row 49"));
        screen.key(KeyCode::Down, rows.len());
        assert_eq!(screen.first, 49);
        screen.key(KeyCode::PageUp, rows.len());
        assert!(shown(&screen, &rows, 60, 8).contains("row 39"));
        screen.key(KeyCode::Home, rows.len());
        screen.key(KeyCode::Up, rows.len());
        assert_eq!(screen.first, 0);
        screen.key(KeyCode::Char('r'), rows.len());
        assert_eq!(screen.order, Order::Rate);
    }

    #[test]
    fn the_smallest_terminal_and_no_counter_do_no_harm() {
        for (width, height) in [(1, 1), (2, 3), (80, 2)] {
            shown(&screen(), &[row("a", 1, None)], width, height);
            shown(&screen(), &[], width, height);
        }
        assert!(shown(&screen(), &[], 60, 5).contains("nothing has counted"));
    }
}
