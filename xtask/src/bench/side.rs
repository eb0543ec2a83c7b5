//! One side of a comparison: a child process that runs steps of a workload on request (the protocol is that of `mtl-bench`).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;

/// The message of a side that is ready to be timed.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// Number of trained values.
    pub parameters: u64,
    /// Floating-point operations (additions and multiplications) per step, by definition.
    pub flop: Option<f64>,
    /// Name and version of the framework.
    pub version: String,
}

/// Any line of the protocol.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    ready: bool,
    parameters: u64,
    flop: Option<f64>,
    version: String,
    seconds: Option<Vec<f64>>,
    peak_kib: Option<u64>,
    failed: Option<String>,
}

/// A running side. Between requests it waits for input and uses no processor time.
#[derive(Debug)]
pub struct Side {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Its first message.
    pub ready: Ready,
}

impl Side {
    /// Starts a side, and waits until it is warm.
    ///
    /// # Errors
    /// A program that cannot be started, or the side's own reason why it cannot run the workload.
    pub fn start(mut command: Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{program} has no standard input or output");
        };
        let ready = Ready { parameters: 0, flop: None, version: String::new() };
        let mut side = Self { child, input: Some(input), output: BufReader::new(output), ready };
        let line = side.read()?;
        if !line.ready {
            bail!("{program} sent no message that it is ready");
        }
        side.ready = Ready { parameters: line.parameters, flop: line.flop, version: line.version };
        Ok(side)
    }

    /// Runs `count` steps and returns the seconds of each.
    ///
    /// # Errors
    /// A side that has ended, or failed.
    pub fn steps(&mut self, count: usize) -> anyhow::Result<Vec<f64>> {
        let input = self.input.as_mut().context("the side was already ended")?;
        writeln!(input, "{count}")?;
        input.flush()?;
        let seconds = self.read()?.seconds.context("an answer without `seconds`")?;
        if seconds.len() != count {
            bail!("{count} steps were requested, {} were timed", seconds.len());
        }
        Ok(seconds)
    }

    /// Ends the process and returns its peak resident memory during the steps in KiB, where the system reports it.
    ///
    /// # Errors
    /// A side that failed.
    pub fn finish(mut self) -> anyhow::Result<Option<u64>> {
        self.input = None;
        let peak = self.read()?.peak_kib;
        self.child.wait()?;
        Ok(peak)
    }

    /// The next line of the protocol; output of libraries is skipped.
    fn read(&mut self) -> anyhow::Result<Line> {
        let mut text = String::new();
        loop {
            text.clear();
            if self.output.read_line(&mut text)? == 0 {
                bail!("it ended without an answer ({})", self.child.wait()?);
            }
            if let Some(line) = parse(&text)? {
                return Ok(line);
            }
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // Abandoned after an error; a failure here means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(text: &str) -> anyhow::Result<Option<Line>> {
    let text = text.trim();
    if !text.starts_with('{') {
        return Ok(None);
    }
    let line: Line = serde_json::from_str(text).with_context(|| format!("not a line of the protocol: {text}"))?;
    match line.failed {
        Some(why) => bail!("{why}"),
        None => Ok(Some(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_protocol() {
        let ready = parse(r#"{"ready": true, "parameters": 7, "loss": 1.5, "flop": 2e9, "version": "x 1"}"#);
        let ready = ready.unwrap().unwrap();
        assert_eq!((ready.ready, ready.parameters, ready.flop, ready.version.as_str()), (true, 7, Some(2e9), "x 1"));
        assert_eq!(parse("{\"seconds\": [0.5, 0.25]}\n").unwrap().unwrap().seconds.unwrap(), [0.5, 0.25]);
        assert_eq!(parse(r#"{"peak_kib": null}"#).unwrap().unwrap().peak_kib, None);
        assert!(parse("a warning of a library").unwrap().is_none());
        assert_eq!(parse(r#"{"failed": "no compiler"}"#).unwrap_err().to_string(), "no compiler");
        assert!(parse("{\"seconds\": 1}").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_side_is_stepped_and_ended() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let script = r#"echo '{"ready":true,"parameters":3,"version":"sh"}'
            while read n; do echo noise; echo '{"seconds":[1,2]}'; done; echo '{"peak_kib":9}'"#;
        let mut side = Side::start(shell(script)).unwrap();
        assert_eq!(side.ready.parameters, 3);
        assert_eq!(side.steps(2).unwrap(), [1.0, 2.0]);
        assert!(side.steps(3).is_err());
        assert_eq!(side.finish().unwrap(), Some(9));
        assert!(Side::start(shell("echo '{\"failed\":\"why\"}'")).unwrap_err().to_string().contains("why"));
        assert!(Side::start(shell("exit 3")).unwrap_err().to_string().contains("without an answer"));
    }
}
