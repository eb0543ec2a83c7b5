//! State dicts of PyTorch. A file is a pickle that names storages, and the storages: as entries of a zip archive, or, before
//! PyTorch 1.6 and in many published weights, one after the other.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::pickle::{Object, Stack};
use candle_core::{DType, Device, Result, Tensor};

/// An error without candle's backtrace, which would be part of the message.
macro_rules! bail {
    ($($message:tt)*) => { return Err(candle_core::Error::Msg(format!($($message)*))) };
}

const ZIP: &[u8] = b"PK\x03\x04";
/// The pickle of the older format's magic number, 0x1950a86a20f9469cfc6c.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";

/// A tensor of the state dict: where its numbers are.
struct Entry {
    name: String,
    dtype: DType,
    storage: String,
    /// In numbers, as the shape.
    offset: usize,
    shape: Vec<usize>,
}

/// The tensors; `None` for a file of another kind.
pub(super) fn read(bytes: &[u8]) -> Option<Result<BTreeMap<String, Tensor>>> {
    let tensors = match bytes.strip_prefix(MAGIC) {
        Some(rest) => read_sequence(rest),
        None if bytes.starts_with(ZIP) => read_zip(bytes),
        None => return None,
    };
    let context = |error| candle_core::Error::Msg(format!("a checkpoint of PyTorch that cannot be read: {error}"));
    Some(tensors.map_err(context))
}

fn read_zip(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let mut zip = match zip::ZipArchive::new(Cursor::new(bytes)) {
        Ok(zip) => zip,
        Err(error) => bail!("it is cut short or damaged ({error})"),
    };
    let names: Vec<String> = zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    let Some(folder) = names.iter().find_map(|name| name.strip_suffix("data.pkl")) else {
        bail!("a zip archive without data.pkl");
    };
    let mut file = |name: &str| -> Result<Vec<u8>> {
        let mut content = Vec::new();
        match zip.by_name(name).map_err(std::io::Error::other).and_then(|mut file| file.read_to_end(&mut content)) {
            Ok(_) => Ok(content),
            Err(error) => bail!("{name} is missing or damaged ({error})"),
        }
    };
    let entries = entries(unpickle(&mut &file(&format!("{folder}data.pkl"))?[..])?)?;
    let tensor = |entry: &Entry| {
        let storage = file(&format!("{folder}data/{}", entry.storage))?;
        Ok((entry.name.clone(), entry.tensor(&storage)?))
    };
    entries.iter().map(tensor).collect()
}

fn read_sequence(mut bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let bytes = &mut bytes;
    // The version of the format and the sizes of C's types.
    unpickle(bytes)?;
    unpickle(bytes)?;
    let entries = entries(unpickle(bytes)?)?;
    let Object::List(keys) = unpickle(bytes)? else { bail!("it is damaged: no list of storages") };
    let dtypes: HashMap<&str, DType> = entries.iter().map(|entry| (entry.storage.as_str(), entry.dtype)).collect();
    let mut storages = HashMap::new();
    for key in keys {
        let Object::Unicode(key) = key else { bail!("it is damaged: a storage without a name") };
        // A storage that no tensor of the state dict lies in cannot be skipped: its type is unknown.
        let Some(dtype) = dtypes.get(key.as_str()) else { bail!("it holds more than a state dict") };
        let length =
            bytes.split_off(..8).and_then(|length| usize::try_from(i64::from_le_bytes(length.try_into().ok()?)).ok());
        let size = length.and_then(|length| length.checked_mul(dtype.size_in_bytes()));
        let Some(storage) = size.and_then(|size| bytes.split_off(..size)) else {
            bail!("it is cut short: {} of {} storages are there", storages.len(), dtypes.len());
        };
        storages.insert(key, storage);
    }
    let tensor = |entry: &Entry| match storages.get(&entry.storage) {
        Some(storage) => Ok((entry.name.clone(), entry.tensor(storage)?)),
        None => bail!("it is damaged: `{}` has no storage", entry.name),
    };
    entries.iter().map(tensor).collect()
}

/// The next object. candle's reader builds plain data; it calls nothing.
fn unpickle(bytes: &mut &[u8]) -> Result<Object> {
    let mut stack = Stack::empty();
    // With overflow checks, candle's reader panics at long integers, which a damaged byte can pretend.
    match catch_unwind(AssertUnwindSafe(|| stack.read_loop(bytes))) {
        Ok(Ok(())) => stack.finalize(),
        Ok(Err(error)) => bail!(
            "it is cut short or damaged, or holds other objects than tensors by name ({})",
            super::first_line(&error)
        ),
        Err(_) => bail!("it is damaged"),
    }
}

/// The tensors of a state dict.
fn entries(object: Object) -> Result<Vec<Entry>> {
    let Object::Dict(items) = object else { bail!("it holds an object of a program, not a state dict") };
    let mut entries = Vec::new();
    for (name, value) in items {
        match (name, arguments(&value)) {
            (Object::Unicode(name), Some(arguments)) => entries.push(Entry::new(name, arguments)?),
            // Versions of PyTorch's modules.
            (Object::Unicode(name), None) if name == "_metadata" => {}
            (Object::Unicode(name), None) => bail!("`{name}` is not a tensor; save the state dict alone"),
            _ => bail!("a value without a name; save a state dict"),
        }
    }
    Ok(entries)
}

/// Arguments of the function that makes a tensor. A parameter is a tensor with a flag.
fn arguments(value: &Object) -> Option<&[Object]> {
    let Object::Reduce { callable, args } = value else { return None };
    let (Object::Class { class_name, .. }, Object::Tuple(args)) = (&**callable, &**args) else { return None };
    match class_name.as_str() {
        "_rebuild_tensor_v2" => Some(args),
        "_rebuild_parameter" => arguments(args.first()?),
        _ => None,
    }
}

fn number(value: &Object) -> Option<usize> {
    match value {
        Object::Int(value) => usize::try_from(*value).ok(),
        Object::Long(value) => usize::try_from(*value).ok(),
        _ => None,
    }
}

fn numbers(value: &Object) -> Option<Vec<usize>> {
    let Object::Tuple(values) = value else { return None };
    values.iter().map(number).collect()
}

impl Entry {
    fn new(name: String, arguments: &[Object]) -> Result<Self> {
        let [Object::PersistentLoad(storage), offset, shape, stride, ..] = arguments else {
            bail!("it is damaged: `{name}` has no storage")
        };
        let Object::Tuple(storage) = &**storage else { bail!("it is damaged: `{name}` has no storage") };
        let [_, Object::Class { class_name, .. }, Object::Unicode(storage), ..] = &storage[..] else {
            bail!("it is damaged: `{name}` has no storage")
        };
        let dtype = match class_name.as_str() {
            "FloatStorage" => DType::F32,
            "DoubleStorage" => DType::F64,
            "HalfStorage" => DType::F16,
            "BFloat16Storage" => DType::BF16,
            "LongStorage" => DType::I64,
            "ByteStorage" => DType::U8,
            other => bail!("`{name}` lies in a {other}, which is not read"),
        };
        let (Some(offset), Some(shape), Some(stride)) = (number(offset), numbers(shape), numbers(stride)) else {
            bail!("it is damaged: `{name}` has no shape")
        };
        let row_major = shape.iter().rev().zip(stride.iter().rev()).try_fold(1usize, |next, (&length, &stride)| {
            if length == 1 || stride == next { next.checked_mul(length) } else { None }
        });
        if row_major.is_none() || shape.len() != stride.len() {
            bail!("`{name}` is not contiguous; save `.contiguous()` tensors")
        }
        Ok(Self { name, dtype, storage: storage.clone(), offset, shape })
    }

    fn tensor(&self, storage: &[u8]) -> Result<Tensor> {
        let size = self.dtype.size_in_bytes();
        let length = self.shape.iter().try_fold(size, |length, side| length.checked_mul(*side));
        let numbers =
            self.offset.checked_mul(size).zip(length).and_then(|(first, length)| storage.get(first..)?.get(..length));
        match numbers {
            Some(numbers) => Tensor::from_raw_buffer(numbers, self.dtype, &self.shape, &Device::Cpu),
            None => bail!("it is cut short: `{}` {:?} is not all there", self.name, self.shape),
        }
    }
}
