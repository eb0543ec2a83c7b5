//! A record in words: lines for the screen, a Markdown table for a page.

use super::record::{Measured, Record, Row};

impl Measured {
    /// `torch compile-cl`.
    fn title(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{} {variant}", self.name),
            None => self.name.clone(),
        }
    }
}

/// How many times as long this side takes as the first one.
fn ratio(row: &Row, side: &Measured) -> Option<f64> {
    Some(side.time.median / row.sides.first()?.time.median)
}

fn mebibytes(side: &Measured) -> String {
    side.peak_kib.map_or_else(|| "?".into(), |kib| format!("{:.0}", kib as f64 / 1024.0))
}

/// Milliseconds with three digits that count.
pub fn milliseconds(seconds: f64) -> String {
    let value = seconds * 1e3;
    let digits = match value {
        // Calls of microseconds.
        v if v < 0.01 => 5,
        v if v < 0.1 => 4,
        v if v < 1.0 => 3,
        v if v < 10.0 => 2,
        v => usize::from(v < 100.0),
    };
    format!("{value:.digits$}")
}

/// A row for the screen: a line a side.
pub fn lines(row: &Row) -> String {
    let mut text = format!("{}, batch {}", row.workload, row.batch);
    if row.parameters > 0 {
        text += &format!(": {} parameters", row.parameters);
    }
    for side in &row.sides {
        let time = &side.time;
        let spread = format!("({} .. {})", milliseconds(time.p10), milliseconds(time.p90));
        text += &format!("\n  {:18} {:>9} ms {spread:22}", side.title(), milliseconds(time.median));
        if row.kernel {
            text += &" ".repeat(18);
        } else {
            text += &format!(" {:>9.1} image/s", row.batch as f64 / time.median);
        }
        let speed = row.flop.map_or_else(String::new, |flop| format!("{:.1} GFLOP/s", flop / time.median * 1e-9));
        text += &format!(" {speed:>15} {:>6} MiB", mebibytes(side));
        if let Some(ratio) = ratio(row, side).filter(|_| side.name != "mtl") {
            text += &format!("  {ratio:.2}x");
        }
    }
    text
}

/// The whole record as Markdown: a row a workload; a peer's columns are its milliseconds (with the variant that was its
/// fastest), how many times as long as ours that is, and its memory.
pub fn markdown(record: &Record) -> String {
    let mut peers: Vec<&str> = Vec::new();
    for side in record.rows.iter().flat_map(|row| row.sides.iter().skip(1)) {
        if !peers.contains(&side.name.as_str()) {
            peers.push(&side.name);
        }
    }
    let mut header = vec!["workload".to_owned(), "batch".into(), "mtl, ms".into(), "10 % .. 90 %".into()];
    header.extend(["GFLOP/s".to_owned(), "MiB".into()]);
    for peer in &peers {
        header.extend([format!("{peer}, ms"), format!("{peer} / mtl"), "MiB".into()]);
    }
    let mut text = format!("| {} |\n|---|{}\n", header.join(" | "), "---:|".repeat(header.len() - 1));
    for row in &record.rows {
        let Some(own) = row.sides.first() else { continue };
        let time = &own.time;
        let speed = row.flop.map_or_else(|| "-".into(), |flop| format!("{:.0}", flop / time.median * 1e-9));
        let name = row.workload.clone() + if row.disturbed { " *" } else { "" };
        let mut cells = vec![name, row.batch.to_string(), milliseconds(time.median)];
        cells.extend([format!("{} .. {}", milliseconds(time.p10), milliseconds(time.p90)), speed, mebibytes(own)]);
        for peer in &peers {
            match row.sides.iter().skip(1).find(|side| side.name == *peer) {
                Some(side) => {
                    let how = side.variant.as_ref().map_or_else(String::new, |variant| format!(" ({variant})"));
                    let times = ratio(row, side).map_or_else(|| "-".into(), |ratio| format!("**{ratio:.2}**"));
                    cells.extend([milliseconds(side.time.median) + &how, times, mebibytes(side)]);
                }
                None => cells.extend(["-".to_owned(), "-".into(), "-".into()]),
            }
        }
        text += &format!("| {} |\n", cells.join(" | "));
    }
    if record.rows.iter().any(|row| row.disturbed) {
        text += "\n\\* disturbed by something else on the machine\n";
    }
    let versions: Vec<&str> = record.versions.values().map(String::as_str).collect();
    text + &format!(
        "\n{}, {} cores, {}; {}; revision {}.\n",
        record.cpu,
        record.cores,
        record.date,
        versions.join(", "),
        record.revision
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::record::Spread;
    use super::*;

    fn side(name: &str, variant: Option<&str>, median: f64, peak_kib: Option<u64>) -> Measured {
        let time = Spread { median, p10: median * 0.5, p90: median * 2.0, steps: 70 };
        Measured { name: name.into(), variant: variant.map(str::to_owned), time, peak_kib }
    }

    fn record() -> Record {
        let row = |workload: &str, flop, sides| Row {
            workload: workload.into(),
            batch: 64,
            kernel: false,
            parameters: 1000,
            flop,
            disturbed: workload == "joint",
            sides,
        };
        Record {
            date: "2026-01-31".into(),
            cpu: "Some CPU".into(),
            cores: 2,
            revision: "abc".into(),
            load: Some(0.25),
            versions: BTreeMap::from([("mtl".into(), "mtl 0.1.0".into()), ("torch".into(), "torch 2.15".into())]),
            rows: vec![
                row(
                    "tutorial",
                    Some(4e9),
                    vec![
                        side("mtl", None, 0.1, Some(2048)),
                        side("torch", Some("compile-cl"), 0.25, Some(4096)),
                        side("candle", None, 1.0, None),
                    ],
                ),
                row("joint", None, vec![side("mtl", None, 0.004, None)]),
            ],
        }
    }

    #[test]
    fn a_table_with_every_peer() {
        let expected = "\
| workload | batch | mtl, ms | 10 % .. 90 % | GFLOP/s | MiB | torch, ms | torch / mtl | MiB | candle, ms | candle / mtl | MiB |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
| tutorial | 64 | 100 | 50.0 .. 200 | 40 | 2 | 250 (compile-cl) | **2.50** | 4 | 1000 | **10.00** | ? |
| joint * | 64 | 4.00 | 2.00 .. 8.00 | - | ? | - | - | - | - | - | - |

\\* disturbed by something else on the machine

Some CPU, 2 cores, 2026-01-31; mtl 0.1.0, torch 2.15; revision abc.
";
        assert_eq!(markdown(&record()), expected);
    }

    #[test]
    fn lines_name_the_ratio_of_peers_alone() {
        let text = lines(&record().rows[0]);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], "tutorial, batch 64: 1000 parameters");
        assert!(rows[1].contains("40.0 GFLOP/s") && rows[1].ends_with("2 MiB"), "{text}");
        assert!(rows[2].contains("torch compile-cl") && rows[2].ends_with("2.50x"), "{text}");
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let kept = serde_json::to_string(&record()).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&kept).unwrap(), record());
    }

    #[test]
    fn the_documentation_holds_the_table_of_the_kept_results() {
        let results = crate::root().join("xtask/bench/results/2026-11-26-zen4-2cores.json");
        let record: Record = serde_json::from_str(&std::fs::read_to_string(results).unwrap()).unwrap();
        let page = std::fs::read_to_string(crate::root().join("docs/benchmarks.md")).unwrap();
        assert!(
            page.contains(markdown(&record).trim()),
            "docs/benchmarks.md: `cargo xtask bench --table` gives another table"
        );
    }
}
