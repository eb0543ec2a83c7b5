//! A whole run from the library, plain lines: `cargo run --release -p mtl-train --example train -- PRESET [key=value ...]`.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mtl_train::event::{Event, Observer};

struct Lines(Instant);

impl Observer for Lines {
    fn event(&mut self, event: &Event) {
        let at = self.0.elapsed().as_secs_f64();
        match event {
            Event::Step { step, steps, losses, stage, .. } if step % 20 == 0 || *step == 1 => {
                let losses: Vec<String> = losses.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
                println!("{at:7.1} s  {stage} {step}/{steps}  {}", losses.join("  "));
            }
            Event::Step { .. } => {}
            Event::Validated { step, skill, scores, .. } => {
                let scores: Vec<String> = scores
                    .iter()
                    .flat_map(|task| {
                        task.scores.iter().take(9).map(|s| format!("{}/{} {:.3}", task.task, s.name, s.value))
                    })
                    .collect();
                println!("{at:7.1} s  validation {step}: skill {skill:.4}  {}", scores.join("  "));
            }
            Event::Finished(record) => {
                for task in &record.scores {
                    for score in &task.scores {
                        let baseline = task
                            .baseline
                            .iter()
                            .find(|b| b.name == score.name)
                            .map_or(String::new(), |b| format!("{:.3}", b.value));
                        println!("{:16} {:24} {:.4}  (baseline {baseline})", task.task, score.name, score.value);
                    }
                }
            }
            other => println!("{at:7.1} s  {other:?}"),
        }
    }
}

fn main() -> mtl_train::Result<()> {
    let mut args = std::env::args().skip(1);
    let preset = args.next().unwrap_or_else(|| "small".into());
    let overrides: Vec<String> = args.collect();
    let record = mtl_train::train(
        mtl_train::config::load::load(&preset, None, &overrides)?,
        &mut [&mut Lines(Instant::now())],
        &AtomicBool::new(false),
    )?;
    println!("{}", record.run.display());
    Ok(())
}
