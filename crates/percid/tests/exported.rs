//! What registries, recorders and other crates see of metrics.
#![cfg(all(target_os = "linux", not(loom)))]

#[cfg(feature = "prometheus-client")]
mod prometheus {
    use percid::{Counter, Domain, Family, Gauge, Histogram};
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).expect("a String");
        text
    }

    fn has(text: &str, line: &str) {
        assert!(
            text.lines().any(|one| one == line),
            "no '{line}' in\n{text}"
        );
    }

    #[test]
    fn registries_show_the_totals() {
        static STATIC: Counter = Counter::new();
        let domain = Domain::builder().build().unwrap();
        let own = Counter::in_domain(&domain).unwrap();
        let gauge = Gauge::new();
        STATIC.add(3);
        own.add(4);
        gauge.sub(5);
        let mut registry = Registry::default();
        registry.register("static", "of a static", &STATIC);
        registry.register("own", "of a domain", own);
        registry.register("level", "a gauge", gauge);
        let text = text(&registry);
        for line in [
            "# TYPE static counter",
            "static_total 3",
            "own_total 4",
            "# TYPE level gauge",
            "level -5",
            "# EOF",
        ] {
            has(&text, line);
        }
    }

    #[test]
    fn histograms_have_a_bucket_for_each_octave() {
        let histogram = Histogram::up_to(100);
        for value in [0, 1, 2, 3, 60, 100, 5_000] {
            histogram.record(value);
        }
        let highest = histogram.highest();
        let mut registry = Registry::default();
        registry.register("size", "sizes", histogram);
        let text = text(&registry);
        for line in [
            "# TYPE size histogram",
            "size_count 7",
            "size_bucket{le=\"1.0\"} 2",
            "size_bucket{le=\"3.0\"} 4",
            "size_bucket{le=\"31.0\"} 4",
            "size_bucket{le=\"63.0\"} 5",
            &format!("size_bucket{{le=\"{highest}.0\"}} 6"),
            "size_bucket{le=\"+Inf\"} 7",
        ] {
            has(&text, line);
        }
    }

    #[test]
    fn families_show_their_labels() {
        static FAMILY: Family<[(&str, &str); 2], Counter> = Family::new();
        FAMILY
            .get_or_create(&[("method", "GET"), ("status", "200")])
            .add(2);
        FAMILY
            .get_or_create(&[("method", "PUT"), ("status", "500")])
            .inc();
        FAMILY
            .get_or_create(&[("method", "GET"), ("status", "200")])
            .inc();
        let mut registry = Registry::default();
        registry.register("requests", "by method", &FAMILY);
        registry.register(
            "nothing",
            "no labels yet",
            Family::<[(&str, &str); 1], Gauge>::new(),
        );
        let text = text(&registry);
        has(&text, "requests_total{method=\"GET\",status=\"200\"} 3");
        has(&text, "requests_total{method=\"PUT\",status=\"500\"} 1");
        assert!(!text.contains("nothing"), "{text}");
    }
}

#[cfg(feature = "hdrhistogram")]
#[test]
fn hdrhistograms_agree() {
    let histogram = percid::Histogram::new();
    (1..=10_000).for_each(|value| histogram.record(value));
    let (seen, hdr) = (
        histogram.snapshot(),
        histogram.snapshot().to_hdr(3).unwrap(),
    );
    assert_eq!(hdr.len(), 10_000);
    for share in [0.1, 0.5, 0.99] {
        let (ours, theirs) = (seen.quantile(share).unwrap(), hdr.value_at_quantile(share));
        let exact = share * 10_000.0;
        for told in [ours, theirs] {
            assert!(
                (told as f64 - exact).abs() <= exact / 50.0,
                "{told} for {exact}"
            );
        }
    }
    // Every value that there is has a place.
    let ends = percid::Histogram::new();
    ends.record(0);
    ends.record(u64::MAX);
    assert_eq!(ends.snapshot().to_hdr(3).unwrap().len(), 2);
}

#[cfg(feature = "serde")]
#[test]
fn snapshots_survive_json() {
    let (histogram, stats) = (percid::Histogram::up_to(1_000), percid::Stats::new());
    for value in [1, 50, 700, 5_000] {
        histogram.record(value);
        stats.record(value);
    }
    let text = serde_json::to_string(&(histogram.snapshot(), stats.snapshot())).unwrap();
    let back: (percid::HistogramSnapshot, percid::StatsSnapshot) =
        serde_json::from_str(&text).unwrap();
    assert_eq!(back, (histogram.snapshot(), stats.snapshot()));
}
