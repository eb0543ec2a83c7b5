//! Killed at any moment, a run loses nothing that had been saved: the newest checkpoint can be read, is not older than
//! one that was complete before, and the next start clears away what was half written.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use mtl_train::checkpoint::Checkpoint;

use crate::program::{Place, tiny};

/// How often the program is killed; long runs set `MTL_TEST_KILLS`.
fn kills() -> u64 {
    std::env::var("MTL_TEST_KILLS").map_or(25, |text| text.parse().expect("MTL_TEST_KILLS is a number"))
}

/// Longest wait before a kill, in milliseconds: the time of several saves.
const LONGEST_MS: u64 = 150;

/// Saves at every step and looks for a new best one every few steps, for as long as it is left alive.
const BUSY: [&str; 6] =
    ["--steps", "100000", "--set", "stages=['joint']", "output.checkpoint_every=1", "joint.evaluations=30000"];

fn start(place: &Place, args: &[&str]) -> Child {
    place.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The step of a checkpoint, from its folder's name.
fn step(folder: &Path) -> u64 {
    folder.file_name().unwrap().to_str().unwrap().trim_start_matches("joint-").parse().unwrap()
}

/// The step `last` points at, if anything has been saved.
fn saved(run: &Path) -> Option<u64> {
    std::fs::read_link(run.join("checkpoints/last")).ok().map(|folder| step(&folder))
}

/// What a killed process may leave, and the next one must clear away.
fn temporary(run: &Path) -> Vec<PathBuf> {
    let files = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let all = files(run).into_iter().chain(files(&run.join("checkpoints")));
    all.filter(|path| path.extension().is_some_and(|end| end == "tmp")).collect()
}

/// Waits until `ready` says so.
fn wait_for(child: &mut Child, ready: impl Fn() -> bool) {
    while !ready() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_killed_run_keeps_what_it_has_saved() {
    let place = Place::new();
    let (run, checkpoints) = (place.path("runs/killed-0001"), place.path("runs/killed-0001/checkpoints"));
    let mut child = start(&place, &tiny(&[&BUSY[..], &["--name", "killed"]].concat()));
    wait_for(&mut child, || saved(&run).is_some());
    for kill in 0..kills() {
        let before = saved(&run);
        match kill % 4 {
            // Anywhere after a new process has saved for the first time, which is when it has cleared up, too.
            0 | 1 => wait_for(&mut child, || saved(&run) > before),
            // In the middle of a save.
            2 => wait_for(&mut child, || saved(&run) > before && !temporary(&run).is_empty()),
            // While it starts.
            _ => {}
        }
        // Spread over the span without a pattern that could match the rhythm of the saves.
        let wait = kill * 61 % LONGEST_MS;
        std::thread::sleep(if kill % 4 == 2 { Duration::from_micros(10 * wait) } else { Duration::from_millis(wait) });
        let complete = saved(&run);
        child.kill().unwrap();
        child.wait().unwrap();

        let read = |name: &str| {
            Checkpoint::load(&checkpoints.join(name)).unwrap_or_else(|error| panic!("kill {kill}: {name}: {error}"))
        };
        let last = Some(read("last").state.step);
        assert!(last >= complete, "kill {kill}: {last:?} after {complete:?}");
        // Whoever reads the log must find the newest checkpoint it names, or a newer one.
        let log = std::fs::read_to_string(run.join("log.txt")).unwrap();
        let told = log.lines().rev().find_map(|line| Some(step(Path::new(line.rsplit_once(" saved ")?.1))));
        assert!(last >= told, "kill {kill}: {last:?} after {told:?} was told");
        if checkpoints.join("best").is_symlink() {
            read("best");
        }
        child = start(&place, &["resume", "runs/killed-0001"]);
    }
    let before = saved(&run);
    wait_for(&mut child, || saved(&run) > before);
    // Interrupted properly it saves once more; nothing half written is left of all those before it.
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(temporary(&run), Vec::<PathBuf>::new());
    let kept = std::fs::read_dir(&checkpoints).unwrap().count();
    assert!(kept <= 6, "{kept} entries: two names, what they name and the two newest");
    place.run(["eval", "runs/killed-0001"]).well();
}

#[test]
fn what_a_killed_process_left_is_cleared_away() {
    let place = Place::new();
    place.train(&["--steps", "2", "--name", "left", "--set", "stages=['joint']"]).well();
    let run = place.path("runs/left-0001");
    let half = run.join("checkpoints/joint-00000001.tmp");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("model.safetensors"), b"half").unwrap();
    std::fs::write(run.join("config.tmp"), b"half").unwrap();
    std::os::unix::fs::symlink("joint-00000001.tmp", run.join("checkpoints/last.tmp")).unwrap();
    assert_eq!(temporary(&run).len(), 3);
    place.run(["resume", "runs/left-0001"]).well();
    assert_eq!(temporary(&run), Vec::<PathBuf>::new());
}
