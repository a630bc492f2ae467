//! Plots that a page has within itself: SVG whose places are percentages, so that
//! they take the width that there is, with text of the page's own size and colours
//! from its styles, light or dark.

use maud::{Markup, html};
use percid_benches::record::Figure;

use super::text;

/// From a number to a place across the plot, in percent.
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    /// For some figures, from the least to the greatest of them.
    pub(super) fn of<'a>(figures: impl Iterator<Item = &'a Figure>) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for figure in figures {
            low = low.min(figure.min);
            high = high.max(figure.max);
        }
        Axis::between(low, high)
    }

    /// With some space at its ends. What can be zero has no logarithm.
    pub(super) fn between(low: f64, high: f64) -> Axis {
        if !high.is_finite() || high <= 0.0 || low <= 0.0 {
            return Axis {
                low: 0.0,
                high: if high.is_finite() && high > 0.0 {
                    high
                } else {
                    1.0
                },
                logarithmic: false,
            };
        }
        // At least from half to twice: small differences shall look small.
        let middle = (low * high).sqrt();
        Axis {
            low: low.min(middle / 1.5) / 1.1,
            high: high.max(middle * 1.5) * 1.1,
            logarithmic: true,
        }
    }

    /// Where a number is, in percent; at an end if it is beyond.
    pub(super) fn place(&self, number: f64) -> f64 {
        let part = if self.logarithmic {
            (number / self.low).ln() / (self.high / self.low).ln()
        } else {
            (number - self.low) / (self.high - self.low)
        };
        let part = if part.is_nan() {
            0.0
        } else {
            part.clamp(0.0, 1.0)
        };
        2.0 + 96.0 * part
    }

    /// Round numbers along it, at least two and not many.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            // A round number below the end.
            let power = 10_f64.powf(self.high.log10().floor());
            return [0.0, 1.0, 2.0, 4.0, 6.0, 8.0]
                .map(|step| step * power)
                .into_iter()
                .filter(|&tick| tick <= self.high)
                .collect();
        }
        let steps: [&[f64]; 4] = [
            &[1.0],
            &[1.0, 3.0],
            &[1.0, 2.0, 5.0],
            &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        ];
        // Divided where the power is negative: 3 / 10 is 0.3, and 3 times 0.1 is not quite.
        let at = |step: f64, power: i32| match power {
            0.. => step * 10_f64.powi(power),
            _ => step / 10_f64.powi(-power),
        };
        let of = |steps: &[f64]| {
            let first = self.low.log10().floor() as i32;
            let last = self.high.log10().ceil() as i32;
            let all =
                (first..=last).flat_map(|power| steps.iter().map(move |step| at(*step, power)));
            all.filter(|tick| (self.low..=self.high).contains(tick))
                .collect::<Vec<f64>>()
        };
        let mut ticks = Vec::new();
        for steps in steps {
            ticks = of(steps);
            if ticks.len() >= 3 {
                break;
            }
        }
        let every = ticks.len().div_ceil(5);
        ticks.into_iter().step_by(every.max(1)).collect()
    }
}

fn percent(place: f64) -> String {
    format!("{place:.2}%")
}

/// The numbers of an axis.
pub(super) fn scale(axis: &Axis) -> Markup {
    html! {
        svg.scale width="100%" height="16" aria-hidden="true" {
            @for tick in axis.ticks() {
                text x=(percent(axis.place(tick))) y="12" text-anchor="middle" { (text::tick(tick)) }
            }
        }
    }
}

/// Lines behind what is plotted.
fn grid(axis: &Axis) -> Markup {
    html! {
        @for place in axis.ticks().into_iter().map(|tick| percent(axis.place(tick))) {
            line.grid x1=(place) x2=(place) y1="0" y2="100%" {}
        }
    }
}

/// The median of a figure, its middle half and its ends.
pub(super) fn spread(axis: &Axis, figure: &Figure, class: &str) -> Markup {
    let at = |number| percent(axis.place(number));
    let [low, high] = figure.middle();
    let width = axis.place(high) - axis.place(low);
    html! {
        svg.lane.(class) width="100%" height="20" role="img"
            aria-label={ "median " (text::number(figure.median)) " " (figure.unit) } {
            (grid(axis))
            line.ends x1=(at(figure.min)) x2=(at(figure.max)) y1="10" y2="10" {}
            rect.middle x=(at(low)) y="6" width=(percent(width)) height="8" rx="2" {}
            circle.median cx=(at(figure.median)) cy="10" r="4.5" {}
        }
    }
}

/// A ratio among others on a lane.
pub(super) struct Mark {
    pub(super) ratio: f64,
    /// Of a style: how it stands.
    pub(super) class: &'static str,
    /// To a thread-local, not to the best peer.
    pub(super) hollow: bool,
    pub(super) threads: usize,
    pub(super) title: String,
}

/// Ratios on one lane, with a line at 1. One thread is a circle, more are a diamond.
pub(super) fn ratios(axis: &Axis, marks: &[Mark]) -> Markup {
    let one = percent(axis.place(1.0));
    html! {
        svg.lane width="100%" height="22" role="img"
            aria-label=(marks.iter().map(|mark| &*mark.title).collect::<Vec<_>>().join("; ")) {
            (grid(axis))
            line.one x1=(one) x2=(one) y1="0" y2="100%" {}
            @for mark in marks {
                // A place of its own, so that its shape need not be in percent.
                svg x=(percent(axis.place(mark.ratio))) y="11" overflow="visible" {
                    g.mark.(mark.class).hollow[mark.hollow] {
                        title { (mark.title) }
                        @if mark.threads == 1 {
                            circle r="5" {}
                        } @else {
                            rect x="-4.6" y="-4.6" width="9.2" height="9.2" transform="rotate(45)" {}
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_on_the_plot_and_in_order() {
        for axis in [
            Axis::between(0.2, 900.0),
            Axis::between(3.0, 3.01),
            Axis::between(0.0, 7.0),
            Axis::between(f64::INFINITY, 0.0),
        ] {
            let mut last = 0.0;
            for number in [0.0, 0.5, 1.0, 3.005, 500.0, 1e9, f64::INFINITY] {
                let place = axis.place(number);
                assert!((2.0..=98.0).contains(&place) && place >= last, "{number}");
                last = place;
            }
            let ticks = axis.ticks();
            assert!((2..=6).contains(&ticks.len()), "{ticks:?}");
        }
        assert!((2.0..=98.0).contains(&Axis::between(1.0, 2.0).place(f64::NAN)));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(Axis::between(0.9, 120.0).ticks(), [1.0, 10.0, 100.0]);
        assert_eq!(Axis::between(0.0, 7.0).ticks(), [0.0, 1.0, 2.0, 4.0, 6.0]);
        // As they are written: 3 times 0.1 is not quite 0.3.
        for tick in Axis::between(0.02, 40.0).ticks() {
            assert!(text::tick(tick).len() < 6, "{tick}");
        }
    }
}
