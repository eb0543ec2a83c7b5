//! Events of methods: fallbacks are logged, ordinary steps are not.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use mtl_balance::{Method, Signals};
use mtl_rng::Seed;

/// Collects the lines of all events.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The events of `body`, one per line.
fn events(body: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, body);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_step_without_a_common_descent_direction_is_logged() {
    let weights = |columns: &[[f32; 2]]| {
        let rows: Vec<Vec<f32>> = columns.iter().map(|row| row.to_vec()).collect();
        let gram = mtl_balance::Gram::of_rows(&rows);
        let tasks: Vec<String> = (0..rows.len()).map(|i| format!("task {i}")).collect();
        let present: Vec<usize> = (0..rows.len()).collect();
        let losses = vec![1.0; rows.len()];
        let signals = Signals::new(&tasks, &present, &losses).with_gram(&gram);
        let mut balancer = mtl_balance::methods::nash_mtl::Config::default().build(&tasks).unwrap();
        balancer.weights(&signals, &mut Seed::new(0).stream("events", &[])).unwrap();
    };
    assert_eq!(events(|| weights(&[[1.0, 0.0], [0.0, 1.0]])), [""; 0]);
    let opposed = events(|| weights(&[[1.0, 0.0], [-1.0, 0.0]]));
    assert_eq!(opposed.len(), 1, "{opposed:?}");
    assert!(opposed[0].contains("DEBUG") && opposed[0].contains("no direction improves all tasks"), "{opposed:?}");
    assert!(opposed[0].contains("nash_mtl"), "{opposed:?}");
}
