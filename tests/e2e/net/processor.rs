//! The kind of processor: sums are rounded alike only with the same vector instructions and block sizes.

/// Architecture, widest vectors, and the processor's family and model, which determine its cache sizes.
pub fn kind() -> String {
    format!("{} {} {}", std::env::consts::ARCH, vectors(), model())
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> &'static str {
    // The features used by the kernels.
    let v4 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd");
    match (v4, is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        (true, _) => "avx512",
        (_, true) => "avx2",
        _ => "sse2",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> &'static str {
    "baseline"
}

/// `vendor family model` from Linux; empty elsewhere.
fn model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key))?;
        Some(line.split(':').nth(1)?.trim().to_owned())
    };
    ["vendor_id", "cpu family", "model"].into_iter().filter_map(value).collect::<Vec<_>>().join(" ")
}
