//! Resident memory of this process, where the system reports it (Linux).

/// Resets [`peak_kib`], so that it covers the steps and not the start. Without effect on other systems.
pub fn forget_peak() {
    // Without permission or support the peak is that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Peak resident memory, in KiB.
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
