//! Devices by name.

use candle_core::{Device, Result};

/// `cpu`, `cuda`, `cuda:1` (the second card) or `metal`.
///
/// # Errors
/// Another name; an accelerator this program was built without, or that is not there.
pub fn parse(name: &str) -> Result<Device> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => match index.parse::<usize>() {
            Ok(index) => (kind, index),
            Err(_) => {
                candle_core::bail!("`{name}`: the colon must be followed by the number of the card, as in cuda:1")
            }
        },
        None => (name, 0),
    };
    let missing = |feature: &str, error: candle_core::Error| {
        candle_core::Error::Msg(format!(
            "device `{name}` is not available ({error}); it needs such a card and a build with the feature `{feature}`; `cpu` always works"
        ))
    };
    match kind {
        "cpu" if index == 0 => Ok(Device::Cpu),
        "cuda" => one_stream(index).map_err(|error| missing("cuda", error)),
        "metal" => Device::new_metal(index).map_err(|error| missing("metal", error)),
        _ => candle_core::bail!("`{name}` is no device; use cpu, cuda, cuda:N or metal"),
    }
}

/// An NVIDIA card with one CUDA stream, so that all operations run in the order of their calls. candle's default device has
/// a stream per host thread without any order between them, and creates two events per allocation.
fn one_stream(index: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(index)?;
    #[cfg(feature = "cuda")]
    {
        let card = device.as_cuda_device()?;
        // SAFETY: events order the uses of memory by different streams; this device has one.
        #[allow(unsafe_code)]
        unsafe {
            card.disable_event_tracking();
        }
    }
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(parse("cpu").unwrap().is_cpu());
        for wrong in ["gpu", "cpu:1", "cuda:x", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
