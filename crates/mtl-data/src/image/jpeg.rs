//! Whether the data of a JPEG are complete (ITU T.81, annexes B and F).
//!
//! Decoders fill what is missing with grey and report nothing. Here the Huffman codes of a sequential JPEG are read and
//! counted, without computing any pixel: about 0.2 ms for a photo of 256 x 128. Progressive files are followed from marker to
//! marker only.

use crate::error::Problem;

/// How the data end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With the end marker.
    Marked,
    /// Without it, but all pixels are there.
    Unmarked,
}

/// Follows a file from its start marker. `every_block`: count the blocks of pixels even if there is an end marker.
///
/// # Errors
/// [`Problem::Truncated`] if pixels are missing, [`Problem::Damaged`] for codes that the file does not define.
pub(super) fn end(bytes: &[u8], every_block: bool) -> Result<End, Problem> {
    if every_block || !has_end_marker(bytes) { Walk::new(bytes).run() } else { Ok(End::Marked) }
}

/// The next marker is the next FF that is followed by neither 00 (a stuffed FF), a restart marker nor another FF (fill), inside and
/// outside of entropy-coded data alike.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += memchr::memchr(0xff, bytes.get(at..)?)?;
        match *bytes.get(at + 1)? {
            0xff => at += 1,
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            marker => return Some((marker, at + 2)),
        }
    }
}

/// A segment's content, and where it ends.
fn segment(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    Some((bytes.get(at + 2..at + length.max(2))?, at + length.max(2)))
}

/// Whether the frame has four colour components: amounts of ink.
pub(super) fn is_cmyk(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some((marker, content)) = next_marker(bytes, at) {
        let Some((inside, end)) = segment(bytes, content) else { return false };
        if is_frame(marker) {
            return inside.get(5) == Some(&4);
        }
        at = end;
    }
    false
}

/// Whether a marker begins a frame: neither tables nor an extension.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn has_end_marker(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some((marker, content)) = next_marker(bytes, at) {
        match (marker, segment(bytes, content)) {
            (0xd9, _) => return true,
            (_, Some((_, end))) => at = end,
            (_, None) => return false,
        }
    }
    false
}

/// Lookup of codes: symbol and length by the next bits.
struct Table {
    /// For codes of at most 8 bits: length (0: longer) and symbol.
    short: [(u8, u8); 256],
    /// First code beyond each length, aligned to 16 bits, and the offset from a code to its symbol.
    limits: [u32; 17],
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    fn new(counts: &[u8], symbols: &[u8]) -> Self {
        let mut table = Self { short: [(0, 0); 256], limits: [0; 17], offsets: [0; 17], symbols: symbols.to_vec() };
        let (mut code, mut index) = (0_u32, 0_usize);
        for length in 1..=16 {
            table.offsets[length] = index as i32 - code as i32;
            for _ in 0..counts[length - 1] {
                if length <= 8 {
                    let first = (code << (8 - length)) as usize;
                    let symbol = symbols.get(index).copied().unwrap_or(0);
                    let last = (first + (1 << (8 - length))).min(256);
                    table.short[first.min(256)..last].fill((length as u8, symbol));
                }
                code += 1;
                index += 1;
            }
            table.limits[length] = code << (16 - length);
            code <<= 1;
        }
        table
    }

    /// Symbol and length of the code at the head of 16 bits.
    fn symbol(&self, head: u32) -> Option<(u8, u32)> {
        let (length, symbol) = self.short[(head >> 8) as usize];
        if length > 0 {
            return Some((symbol, u32::from(length)));
        }
        let length = (9..=16).find(|&length| head < self.limits[length])?;
        let index = (head >> (16 - length)) as i32 + self.offsets[length];
        Some((*self.symbols.get(usize::try_from(index).ok()?)?, length as u32))
    }
}

/// Bits of entropy-coded data.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    buffer: u64,
    /// Bits in the buffer; below zero: bits were taken that the file does not have.
    left: i32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.left <= 48 && self.left >= 0 {
            let Some(&byte) = self.bytes.get(self.at) else { return };
            if byte == 0xff {
                if self.bytes.get(self.at + 1) != Some(&0) {
                    return; // a marker, or the end
                }
                self.at += 1;
            }
            self.at += 1;
            self.buffer |= u64::from(byte) << (56 - self.left);
            self.left += 8;
        }
    }

    fn skip(&mut self, count: u32) {
        self.buffer = self.buffer.checked_shl(count).unwrap_or(0);
        self.left -= count as i32;
    }

    fn code(&mut self, table: &Table) -> Option<u8> {
        if self.left < 32 {
            self.fill();
        }
        let (symbol, length) = table.symbol((self.buffer >> 48) as u32)?;
        self.skip(length);
        Some(symbol)
    }
}

#[derive(Clone, Copy)]
struct Component {
    id: u8,
    horizontal: usize,
    vertical: usize,
}

struct Walk<'a> {
    bytes: &'a [u8],
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    size: (usize, usize),
    components: Vec<Component>,
    /// Blocks are read one by one; else only markers are followed.
    sequential: bool,
    /// Units between restart markers; 0: none.
    restart: usize,
    /// Components whose blocks are complete.
    complete: Vec<u8>,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            dc: Default::default(),
            ac: Default::default(),
            size: (0, 0),
            components: Vec::new(),
            sequential: false,
            restart: 0,
            complete: Vec::new(),
        }
    }

    fn run(mut self) -> Result<End, Problem> {
        let mut at = 2;
        loop {
            let Some((marker, content)) = next_marker(self.bytes, at) else {
                let whole = self.sequential && self.is_complete();
                return if whole { Ok(End::Unmarked) } else { Err(Problem::Truncated) };
            };
            if marker == 0xd9 {
                let whole = !self.sequential || self.is_complete();
                return if whole { Ok(End::Marked) } else { Err(Problem::Truncated) };
            }
            let Some((inside, end)) = segment(self.bytes, content) else {
                let whole = self.sequential && self.is_complete();
                return if whole { Ok(End::Unmarked) } else { Err(Problem::Truncated) };
            };
            at = end;
            match marker {
                0xc4 => self.tables(inside),
                0xdd if inside.len() >= 2 => self.restart = usize::from(u16::from_be_bytes([inside[0], inside[1]])),
                marker if is_frame(marker) => self.frame(marker, inside)?,
                0xda if self.sequential => at = self.scan(inside, end)?,
                _ => {}
            }
        }
    }

    fn is_complete(&self) -> bool {
        !self.components.is_empty() && self.components.iter().all(|component| self.complete.contains(&component.id))
    }

    fn tables(&mut self, mut inside: &[u8]) {
        while inside.len() > 17 {
            let (class, slot) = (inside[0] >> 4, usize::from(inside[0] & 3));
            let count: usize = inside[1..17].iter().map(|&count| usize::from(count)).sum();
            let table = Table::new(&inside[1..17], inside.get(17..17 + count).unwrap_or(&inside[17..]));
            *(if class == 0 { &mut self.dc[slot] } else { &mut self.ac[slot] }) = Some(table);
            inside = inside.get(17 + count..).unwrap_or(&[]);
        }
    }

    fn frame(&mut self, marker: u8, inside: &[u8]) -> Result<(), Problem> {
        if inside.len() < 6 || inside.len() < 6 + 3 * usize::from(inside[5]) {
            return Err(Problem::Truncated);
        }
        let number = |at: usize| usize::from(u16::from_be_bytes([inside[at], inside[at + 1]]));
        self.size = (number(1), number(3));
        self.components = inside[6..]
            .chunks_exact(3)
            .take(usize::from(inside[5]))
            .map(|part| Component {
                id: part[0],
                horizontal: usize::from(part[1] >> 4).max(1),
                vertical: usize::from(part[1] & 15).max(1),
            })
            .collect();
        // Huffman-coded, sequential, 8 bits, with a height in the frame.
        self.sequential = matches!(marker, 0xc0 | 0xc1) && inside[0] == 8 && self.size.0 > 0;
        Ok(())
    }

    /// Reads the blocks of one scan; where its data end.
    fn scan(&mut self, inside: &[u8], start: usize) -> Result<usize, Problem> {
        let damaged = |what: &str| Problem::Damaged(what.into());
        let count = usize::from(*inside.first().ok_or(Problem::Truncated)?);
        let mut parts = Vec::new();
        for part in inside.get(1..1 + 2 * count).ok_or(Problem::Truncated)?.chunks_exact(2) {
            let component = self.components.iter().find(|component| component.id == part[0]).copied();
            let component = component.ok_or_else(|| damaged("a scan of a component that the frame does not have"))?;
            parts.push((component, usize::from(part[1] >> 4) & 3, usize::from(part[1]) & 3));
        }
        let largest = |side: fn(&Component) -> usize| self.components.iter().map(side).max().unwrap_or(1);
        let (wide, high) = (largest(|c| c.horizontal), largest(|c| c.vertical));
        let (height, width) = self.size;
        let (units, blocks): (usize, Vec<usize>) = match &parts[..] {
            [(component, ..)] => {
                let across = (width * component.horizontal).div_ceil(wide).div_ceil(8);
                let down = (height * component.vertical).div_ceil(high).div_ceil(8);
                (across * down, vec![1])
            }
            parts => (
                width.div_ceil(8 * wide) * height.div_ceil(8 * high),
                parts.iter().map(|(component, ..)| component.horizontal * component.vertical).collect(),
            ),
        };
        let mut bits = Bits { bytes: self.bytes, at: start, buffer: 0, left: 0 };
        for unit in 0..units {
            if self.restart > 0 && unit > 0 && unit % self.restart == 0 {
                // The rest of the byte is padding; the marker follows, and the next bits begin a new byte.
                match (self.bytes.get(bits.at), self.bytes.get(bits.at + 1)) {
                    (Some(0xff), Some(0xd0..=0xd7)) => bits = Bits { at: bits.at + 2, buffer: 0, left: 0, ..bits },
                    _ => return Err(Problem::Truncated),
                }
            }
            for ((_, dc, ac), &blocks) in parts.iter().zip(&blocks) {
                let (Some(dc), Some(ac)) = (&self.dc[*dc], &self.ac[*ac]) else {
                    return Err(damaged("a scan without its tables"));
                };
                for _ in 0..blocks {
                    block(&mut bits, dc, ac)?;
                }
            }
        }
        self.complete.extend(parts.iter().map(|(component, ..)| component.id));
        Ok(bits.at)
    }
}

/// Passes over the codes of one block.
fn block(bits: &mut Bits, dc: &Table, ac: &Table) -> Result<(), Problem> {
    let fault = |bits: &Bits| {
        if bits.left < 16 {
            Problem::Truncated
        } else {
            Problem::Damaged("a code that the file does not define".into())
        }
    };
    let size = bits.code(dc).ok_or_else(|| fault(bits))?;
    bits.skip(u32::from(size & 15));
    let mut at = 1;
    while at < 64 {
        let code = bits.code(ac).ok_or_else(|| fault(bits))?;
        let (zeros, size) = (usize::from(code >> 4), u32::from(code & 15));
        match (zeros, size) {
            (15, 0) => at += 16,
            (_, 0) => break,
            _ => {
                bits.skip(size);
                at += zeros + 1;
            }
        }
    }
    if bits.left < 0 { Err(Problem::Truncated) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{Rgb, RgbImage};

    fn photo(width: u32, height: u32) -> Vec<u8> {
        let image = RgbImage::from_fn(width, height, |x, y| Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, y as u8]));
        let mut bytes = Cursor::new(Vec::new());
        JpegEncoder::new_with_quality(&mut bytes, 85).encode_image(&image).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn complete_files_pass_with_and_without_their_end_marker() {
        for (width, height) in [(1, 1), (8, 8), (17, 33), (64, 48)] {
            let bytes = photo(width, height);
            assert_eq!(end(&bytes, true), Ok(End::Marked), "{width} x {height}");
            assert_eq!(end(&bytes[..bytes.len() - 2], false), Ok(End::Unmarked), "{width} x {height}");
        }
    }

    #[test]
    fn missing_pixels_are_found_behind_an_end_marker() {
        let bytes = photo(64, 48);
        for keep in [bytes.len() / 2, bytes.len() * 9 / 10, bytes.len() - 40] {
            let mut cut = bytes[..keep].to_vec();
            assert_eq!(end(&cut, false), Err(Problem::Truncated), "{keep}");
            cut.extend([0xff, 0xd9]);
            assert_eq!(end(&cut, true), Err(Problem::Truncated), "{keep}");
            assert_eq!(end(&cut, false), Ok(End::Marked), "markers alone say nothing");
        }
    }
}
