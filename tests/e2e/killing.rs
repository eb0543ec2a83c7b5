//! Runs killed at any moment: the newest checkpoint can be read and is not older than any complete one before, and the next
//! start removes incomplete files.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use mtl_train::store::checkpoint::Checkpoint;

use crate::program::{Place, tiny};

/// Number of kills; `MTL_TEST_KILLS` sets more.
fn kills() -> u64 {
    std::env::var("MTL_TEST_KILLS").map_or(25, |text| text.parse().expect("MTL_TEST_KILLS is a number"))
}

/// Longest wait before a kill, in milliseconds: the time of several saves.
const LONGEST_MS: u64 = 150;

/// Saves at every step and validates every few steps, until it is killed.
const BUSY: [&str; 6] = [
    "--steps",
    "100000",
    "--set",
    "stages.run=['joint']",
    "output.checkpoint_every=1",
    "stages.joint.validations=30000",
];

fn start(place: &Place, args: &[&str]) -> Child {
    place.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The step of a checkpoint, from its folder's name.
fn step(folder: &Path) -> u64 {
    folder.file_name().unwrap().to_str().unwrap().trim_start_matches("joint-").parse().unwrap()
}

/// The step that `last` points at, if there is a checkpoint.
fn saved(run: &Path) -> Option<u64> {
    std::fs::read_link(run.join("checkpoints/last")).ok().map(|folder| step(&folder))
}

/// Temporary files that a killed process may leave and the next one must remove.
fn temporary(run: &Path) -> Vec<PathBuf> {
    let files = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let all = files(run).into_iter().chain(files(&run.join("checkpoints")));
    all.filter(|path| path.extension().is_some_and(|end| end == "tmp")).collect()
}

/// Waits until `ready` is true.
fn wait_for(child: &mut Child, ready: impl Fn() -> bool) {
    while !ready() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_killed_run_keeps_its_checkpoints() {
    let place = Place::new();
    let (run, checkpoints) = (place.path("runs/killed-0001"), place.path("runs/killed-0001/checkpoints"));
    let mut child = start(&place, &tiny(&[&BUSY[..], &["--name", "killed"]].concat()));
    wait_for(&mut child, || saved(&run).is_some());
    for kill in 0..kills() {
        let before = saved(&run);
        match kill % 4 {
            // Any time after the first save of a new process, which has then also cleaned up.
            0 | 1 => wait_for(&mut child, || saved(&run) > before),
            // During a save.
            2 => wait_for(&mut child, || saved(&run) > before && !temporary(&run).is_empty()),
            // During the start.
            _ => {}
        }
        // Spread without a pattern that could match the interval of the saves.
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
        // The newest checkpoint in the log, or a newer one, must exist.
        let log = std::fs::read_to_string(run.join("log.txt")).unwrap();
        let logged = log.lines().rev().find_map(|line| Some(step(Path::new(line.rsplit_once(" saved ")?.1))));
        assert!(last >= logged, "kill {kill}: {last:?} after {logged:?} was logged");
        if checkpoints.join("best").is_symlink() {
            read("best");
        }
        child = start(&place, &["resume", "runs/killed-0001"]);
    }
    let before = saved(&run);
    wait_for(&mut child, || saved(&run) > before);
    // Interrupted by a signal it saves once more; no incomplete file of earlier processes is left.
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(temporary(&run), Vec::<PathBuf>::new());
    let kept = std::fs::read_dir(&checkpoints).unwrap().count();
    assert!(kept <= 6, "{kept} entries: two names, what they name and the two newest");
    place.run(["eval", "runs/killed-0001"]).well();
}

#[test]
fn temporary_files_of_a_killed_process_are_removed() {
    let place = Place::new();
    place.train(&["--steps", "2", "--name", "left", "--set", "stages.run=['joint']"]).well();
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
