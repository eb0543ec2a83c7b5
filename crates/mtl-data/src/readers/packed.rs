//! Data sets that come as one block of raw pixels (CIFAR-10 binary, idx): kept in memory as they are.

use mtl_task::{Target, Task, TaskKind};

use super::OpenOptions;
use crate::dataset::{Dataset, Labels, Sample, Schema, Subset};
use crate::error::Error;
use crate::image::fingerprint::hash;
use crate::image::picture::is_multi_channel;
use crate::image::resize;
use crate::reading::Reading;
use crate::size::Size;

/// Images of one size, `[N, C, H, W]`, each with one class.
pub(super) struct Packed {
    schema: Schema,
    /// Channels as stored; the schema's number may differ.
    stored_channels: usize,
    size: Size,
    pixels: Vec<u8>,
    classes: Vec<u8>,
    subsets: Vec<Subset>,
    reading: Reading,
}

impl Packed {
    /// `classes`, `subsets` and `pixels` agree in length: the readers checked their files.
    ///
    /// # Errors
    /// [`Error::Option`] for a number of channels that such images do not have.
    pub(super) fn new(
        name: String,
        class_names: Vec<String>,
        stored_channels: usize,
        size: Size,
        options: &OpenOptions,
    ) -> Result<Self, Error> {
        let channels = options.channels.unwrap_or(stored_channels);
        if is_multi_channel(channels) {
            let reason = format!("the images of {name} have {stored_channels}: 1 (grey) or 3 (colour)");
            return Err(Error::Option { key: "channels", value: channels.to_string(), reason });
        }
        let task = Task::new("class", TaskKind::Classification { classes: class_names });
        let schema = Schema { name, channels, tasks: vec![task] };
        Ok(Self {
            schema,
            stored_channels,
            size,
            pixels: Vec::new(),
            classes: Vec::new(),
            subsets: Vec::new(),
            reading: Reading::default(),
        })
    }

    pub(super) fn push(&mut self, pixels: &[u8], class: u8, subset: Subset) {
        self.pixels.extend_from_slice(pixels);
        self.classes.push(class);
        self.subsets.push(subset);
    }

    pub(super) fn boxed(self) -> Box<dyn Dataset> {
        Box::new(self)
    }

    fn image(&self, row: usize) -> &[u8] {
        let bytes = self.stored_channels * self.size.height * self.size.width;
        &self.pixels[row * bytes..][..bytes]
    }
}

impl Dataset for Packed {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.classes.len()
    }

    fn row_name(&self, row: usize) -> String {
        let subset = if self.subsets[row] == Subset::Test { "test" } else { "train" };
        let first = self.subsets.partition_point(|&subset| subset != Subset::Test);
        format!("{subset}/{}", if self.subsets[row] == Subset::Test { row - first } else { row })
    }

    fn labels(&self, row: usize) -> Vec<Labels> {
        vec![Labels::Class(usize::from(self.classes[row]))]
    }

    fn subset(&self, row: usize) -> Option<Subset> {
        Some(self.subsets[row])
    }

    fn sample(&self, row: usize, size: Size) -> Result<Sample, Error> {
        let stored = resize::stretch_planes(self.image(row), self.stored_channels, self.size, size);
        let image = match (self.stored_channels, self.schema.channels) {
            (1, 3) => stored.repeat(3),
            (3, 1) => resize::luma(&stored),
            _ => stored,
        };
        Ok(Sample { image, targets: vec![Target::Class(vec![i32::from(self.classes[row])])] })
    }

    fn content_hash(&self, row: usize) -> Result<Option<u64>, Error> {
        Ok(Some(hash(self.image(row))))
    }

    fn reading(&self) -> Reading {
        self.reading.clone()
    }

    fn reading_mut(&mut self) -> Option<&mut Reading> {
        Some(&mut self.reading)
    }

    fn native_size(&self, _row: usize) -> Option<Size> {
        Some(self.size)
    }
}
