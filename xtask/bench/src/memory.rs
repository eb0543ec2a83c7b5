//! Resident memory of this process, where the system tells (Linux).

/// Makes [`peak_kib`] begin anew, so that it tells of the steps and not of the start. Nothing happens elsewhere.
pub fn forget_peak() {
    // Not allowed or not there: then the peak is that of the whole process, which is still true.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most that was resident at once, in KiB.
pub fn peak_kib() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_peak_is_found() {
        assert_eq!(parse("Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t  1234 kB\nVmRSS:\t 12 kB\n"), Some(1234));
        assert_eq!(parse("Name:\tx\n"), None);
    }
}
