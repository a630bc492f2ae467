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
        svg,
    })
}

/// Distinct ids by window, for each policy, and the bound.
pub(super) fn ids(name: &str, title: &str, reports: &[&Report]) -> Result<Plot, Error> {
    let windows = || reports.iter().flat_map(|report| &report.ids.windows);
    let end = windows().map(|it| it.end).max().unwrap_or(1) as f64 / 1e9;
    let most = windows().map(|it| it.distinct.max(it.bound)).max();
    let most = f64::from(most.unwrap_or(1)) * 1.08 + 0.5;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, 380)).into_drawing_area();
        area.fill(&WHITE).map_err(fault)?;
        let (plot, key) = area.split_horizontally(WIDTH - 140);
        let mut chart = ChartBuilder::on(&plot)
            .caption(title, (FONT, 16).into_font().color(&TEXT))
            .margin(10)
            .x_label_area_size(38)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..end, 0.0..most)
            .map_err(fault)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(MUTED)
            .x_desc("simulated seconds")
            .y_desc("distinct ids in 100 ms")
            .label_style((FONT, 12).into_font().color(&MUTED))
            .x_labels(6)
            .y_labels(6)
            .y_label_formatter(&|y| format!("{y:.0}"))
            .x_label_formatter(&|x| format!("{x:.1}"))
            .draw()
            .map_err(fault)?;
        let middle = |window: &percid_sim::Window| (window.end as f64 - 5e7) / 1e9;
        if let Some(first) = reports.first() {
            let bound = first.ids.windows.iter();
            let bound = bound.map(|it| (middle(it), f64::from(it.bound)));
            chart
                .draw_series(DashedLineSeries::new(bound, 4, 4, TEXT.stroke_width(1)))
                .map_err(fault)?;
        }
        for report in reports {
            let points = report.ids.windows.iter();
            let points = points.map(|it| (middle(it), f64::from(it.distinct)));
            let style = colour(report.policy).stroke_width(2);
            chart
                .draw_series(LineSeries::new(points, style))
                .map_err(fault)?;
        }
        draw_key(&key, reports)?;
        area.present().map_err(fault)?;
    }
    Ok(Plot {
        name: name.to_owned(),
        svg,
    })
}

fn draw_key<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    reports: &[&Report],
) -> Result<(), Error> {
    let text = (FONT, 12).into_font().color(&TEXT);
    let text = text.pos(Pos::new(HPos::Left, VPos::Center));
    let entries = reports
        .iter()
        .map(|report| (report.policy, colour(report.policy)));
    let bound = std::iter::once(("bound (dashed)", MUTED));
    for ((name, colour), y) in bound.chain(entries).zip((44..).step_by(22)) {
        let line = vec![(4, y), (24, y)];
        area.draw(&PathElement::new(line, colour.stroke_width(3)))
            .map_err(fault)?;
        area.draw(&Text::new(name.to_owned(), (30, y), text.clone()))
            .map_err(fault)?;
    }
    Ok(())
}

/// The plots of a workload's reports: time for ids, ids in time, and where ids come back.
pub(super) fn all(stand: &str, about: &str, reports: &[&Report]) -> Result<Vec<Plot>, Error> {
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
    let mut plots = vec![
        bars(
            &format!("{stand}-time"),
            "Share of busy CPU time for ids (dark: waiting for locks)",
            &time,
        )?,
        ids(&format!("{stand}-ids"), about, reports)?,
    ];
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
