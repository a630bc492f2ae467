//! Plots in SVG.

use percid_sim::{Name, Report};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::Error;

/// A picture with the name of its file.
#[derive(Debug)]
pub(super) struct Plot {
    pub(super) name: String,
    pub(super) svg: String,
}

const WIDTH: u32 = 760;
const FONT: &str = "sans-serif";
const TEXT: RGBColor = RGBColor(27, 31, 36);
const MUTED: RGBColor = RGBColor(89, 99, 110);
const GRID: RGBColor = RGBColor(225, 229, 233);

/// The colour of a policy: percid's are blue, the kernel's go from old to new.
fn colour(policy: &str) -> RGBColor {
    match policy.parse() {
        Ok(Name::Linux63) => RGBColor(120, 120, 120),
        Ok(Name::V3) => RGBColor(178, 130, 0),
        Ok(Name::V6) => RGBColor(217, 95, 2),
        Ok(Name::Linux64) => RGBColor(197, 27, 125),
        Ok(Name::Linux613) => RGBColor(117, 112, 179),
        Ok(Name::Linux614) => RGBColor(160, 90, 40),
        Ok(Name::Linux619) => RGBColor(27, 138, 90),
        Ok(Name::Strict) => RGBColor(10, 95, 208),
        Ok(Name::Relaxed) => RGBColor(92, 168, 255),
        Ok(Name::Thread) | Err(_) => RGBColor(40, 40, 40),
    }
}

fn fault(error: impl std::fmt::Display) -> Error {
    Error::Plot(error.to_string())
}

/// What a bar says.
pub(super) struct Bar {
    pub(super) policy: &'static str,
    pub(super) value: f64,
    /// A part of it, in a darker colour.
    pub(super) part: f64,
    pub(super) text: String,
}

/// A bar for each policy.
pub(super) fn bars(name: &str, title: &str, bars: &[Bar]) -> Result<Plot, Error> {
    const LEFT: i32 = 118;
    const RIGHT: i32 = 150;
    const TOP: i32 = 40;
    const ROW: i32 = 24;
    let height = TOP + ROW * bars.len() as i32 + 12;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(fault)?;
        let heading = (FONT, 16).into_font().color(&TEXT);
        area.draw(&Text::new(title.to_owned(), (12, 10), heading))
            .map_err(fault)?;
        let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let space = f64::from(WIDTH as i32 - LEFT - RIGHT);
        let label = (FONT, 13).into_font().color(&TEXT);
        let label = label.pos(Pos::new(HPos::Right, VPos::Center));
        let value = (FONT, 13).into_font().color(&MUTED);
        let value = value.pos(Pos::new(HPos::Left, VPos::Center));
        for (bar, top) in bars.iter().zip((TOP..).step_by(ROW as usize)) {
            let middle = top + ROW / 2 - 2;
            let place = |value: f64| LEFT + (value / most * space).round() as i32;
            let colour = colour(bar.policy);
            let name = bar.policy.to_owned();
            area.draw(&Text::new(name, (LEFT - 8, middle), label.clone()))
                .map_err(fault)?;
            let end = place(bar.value).max(LEFT + 1);
            let whole = [(LEFT, top), (end, top + ROW - 6)];
            let pale = if bar.part > 0.0 { 0.45 } else { 1.0 };
            area.draw(&Rectangle::new(whole, colour.mix(pale).filled()))
                .map_err(fault)?;
            if bar.part > 0.0 {
                let part = [(LEFT, top), (place(bar.part), top + ROW - 6)];
                area.draw(&Rectangle::new(part, colour.filled()))
                    .map_err(fault)?;
            }
            area.draw(&Text::new(
                bar.text.clone(),
                (end + 8, middle),
                value.clone(),
            ))
            .map_err(fault)?;
        }
        area.present().map_err(fault)?;
    }
    Ok(Plot {
        name: name.to_owned(),
        svg: styled(&svg),
    })
}

/// Distinct ids by window: a small plot for each policy, all to the same scale.
pub(super) fn ids(name: &str, title: &str, reports: &[&Report]) -> Result<Plot, Error> {
    const COLUMNS: usize = 5;
    const HEIGHT: usize = 150;
    let windows = || reports.iter().flat_map(|report| &report.ids.windows);
    let end = windows().map(|it| it.end).max().unwrap_or(1) as f64 / 1e9;
    let most = windows().map(|it| it.distinct.max(it.bound)).max();
    let most = f64::from(most.unwrap_or(1)) * 1.1 + 0.5;
    let rows = reports.len().div_ceil(COLUMNS).max(1);
    let height = 40 + HEIGHT * rows;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(fault)?;
        let heading = (FONT, 16).into_font().color(&TEXT);
        let title = format!("{title}: distinct ids in 100 ms (dashed: the bound)");
        area.draw(&Text::new(title, (12, 10), heading))
            .map_err(fault)?;
        let (_, below) = area.split_vertically(36);
        for (panel, report) in below.split_evenly((rows, COLUMNS)).iter().zip(reports) {
            self::panel(panel, report, end, most)?;
        }
        area.present().map_err(fault)?;
    }
    Ok(Plot {
        name: name.to_owned(),
        svg: styled(&svg),
    })
}

fn panel<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    report: &Report,
    end: f64,
    most: f64,
) -> Result<(), Error> {
    let colour = colour(report.policy);
    let mut chart = ChartBuilder::on(area)
        .caption(report.policy, (FONT, 13).into_font().color(&colour))
        .margin(6)
        .x_label_area_size(20)
        .y_label_area_size(30)
        .build_cartesian_2d(0.0..end, 0.0..most)
        .map_err(fault)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(MUTED)
        .label_style((FONT, 11).into_font().color(&MUTED))
        .x_labels(3)
        .y_labels(4)
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_label_formatter(&|x| format!("{x:.1} s"))
        .draw()
        .map_err(fault)?;
    let middle = |window: &percid_sim::Window| (window.end as f64 - 5e7) / 1e9;
    let windows = &report.ids.windows;
    let bound = windows.iter().map(|it| (middle(it), f64::from(it.bound)));
    chart
        .draw_series(DashedLineSeries::new(bound, 4, 4, TEXT.stroke_width(1)))
        .map_err(fault)?;
    let points = windows
        .iter()
        .map(|it| (middle(it), f64::from(it.distinct)));
    chart
        .draw_series(LineSeries::new(points, colour.stroke_width(2)))
        .map_err(fault)?;
    Ok(())
}

/// The sizes and colours of texts as styles, which those of a page do not change.
fn styled(svg: &str) -> String {
    let mut styled = String::with_capacity(svg.len() + svg.len() / 8);
    for (number, part) in svg.split("<text ").enumerate() {
        if number > 0 {
            styled += "<text ";
            let tag = part.split_once('>').map_or(part, |(tag, _)| tag);
            let value = |name: &str| Some(tag.split_once(name)?.1.split_once('"')?.0);
            if let (Some(size), Some(fill)) = (value("font-size=\""), value("fill=\"")) {
                styled += &format!("style=\"font-size:{size}px;fill:{fill}\" ");
            }
        }
        styled += part;
    }
    styled
}

/// The plots of a workload's reports: time for ids, ids in time, and where ids come back.
pub(super) fn all(stand: &str, reports: &[&Report]) -> Result<Vec<Plot>, Error> {
    let percent = |share| format!("{} %", super::table::percent(share));
    let time: Vec<Bar> = reports
        .iter()
        .map(|report| {
            let shares = &report.shares;
            let waits = match shares.lock_wait {
                0.0 => String::new(),
                wait => format!(", {} in locks", percent(wait)),
            };
            Bar {
                policy: report.policy,
                value: shares.ids,
                part: shares.lock_wait,
                text: percent(shares.ids) + &waits,
            }
        })
        .collect();
    let mut plots = vec![bars(
        &format!("{stand}-time"),
        "Share of busy CPU time for ids (dark: waiting for locks)",
        &time,
    )?];
    // Less is no line.
    if reports.iter().any(|report| report.ids.windows.len() > 1) {
        plots.push(ids(&format!("{stand}-ids"), stand, reports)?);
    }
    if reports.iter().any(|report| report.ids.pauses > 0) {
        let pauses = reports.iter().map(|report| Bar {
            policy: report.policy,
            value: report.ids.same_cpu_after_pause,
            part: 0.0,
            text: percent(report.ids.same_cpu_after_pause),
        });
        plots.push(bars(
            &format!("{stand}-locality"),
            "After a pause of 100 ms or more: the id was on this CPU before",
            &pauses.collect::<Vec<_>>(),
        )?);
    }
    Ok(plots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_size_in_a_page() {
        let bar = Bar {
            policy: "thread",
            value: 0.5,
            part: 0.1,
            text: "a < b".to_owned(),
        };
        let plot = bars("name", "title", &[bar]).unwrap();
        assert_eq!(
            plot.svg.matches("<text ").count(),
            plot.svg.matches("style=\"font-size:").count()
        );
        assert!(plot.svg.contains("a &lt; b"), "{}", plot.svg);
    }

    #[test]
    fn nothing_to_plot_is_a_plot() {
        assert!(bars("name", "title", &[]).is_ok());
        assert!(ids("name", "title", &[]).is_ok());
    }
}
