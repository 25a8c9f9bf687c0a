//! Pictures other than JPEG. Each is decoded to its last row; rows and strips are forgotten as
//! soon as they are read wherever the format allows it, so that size costs time and not memory.

use std::io::{self, BufReader};

use gif::{ColorOutput, MemoryLimit};
use image_webp::WebPDecoder;
use png::{DecodeOptions, DecodingError as PngError};
use tiff::{
    TiffError,
    decoder::{ChunkType, Decoder as Tiff, Limits},
};
use zune_bmp::{BmpDecoder, BmpDecoderErrors};
use zune_core::options::DecoderOptions;

use super::{Extent, Fault, Medium};
use crate::examine::confine::MEMORY_BYTES;

/// The most that a picture may take as a whole, in bytes, where it has to be held.
const HELD_BYTES: u64 = MEMORY_BYTES / 2;

/// The most pictures in one file.
const PICTURES: u32 = 100_000;

/// Decodes a PNG, or all pictures of an animated one, with every checksum.
pub(super) fn png(medium: &mut Medium) -> Result<Extent, Fault> {
    let mut options = DecodeOptions::default();
    options.set_ignore_adler32(false);
    options.set_skip_ancillary_crc_failures(false);
    let mut reader = png::Decoder::new_with_options(medium, options).read_info().map_err(of_png)?;
    let info = reader.info();
    let size = (info.width, info.height);
    let pictures = info.animation_control().map_or(1, |animation| animation.num_frames);
    for picture in 0..pictures.min(PICTURES) {
        if picture > 0 {
            reader.next_frame_info().map_err(of_png)?;
        }
        while reader.next_interlaced_row().map_err(of_png)?.is_some() {}
    }
    reader.finish().map_err(of_png)?;
    Ok(decoded(size, pictures.into()))
}

fn of_png(error: PngError) -> Fault {
    match error {
        PngError::IoError(error) => error.into(),
        PngError::LimitsExceeded => Fault::memory(),
        error => Fault::Damaged(error.to_string()),
    }
}

/// Decodes all pictures of a GIF.
pub(super) fn gif(medium: &mut Medium) -> Result<Extent, Fault> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options
        .set_memory_limit(MemoryLimit::Bytes(HELD_BYTES.try_into().map_err(|_| Fault::memory())?));
    let mut decoder = options.read_info(medium).map_err(of_gif)?;
    let size = (decoder.width().into(), decoder.height().into());
    let mut pictures = 0;
    while decoder.read_next_frame().map_err(of_gif)?.is_some() {
        pictures += 1;
    }
    match pictures {
        0 => Err(Fault::Damaged("there is no picture in it".into())),
        _ => Ok(decoded(size, pictures)),
    }
}

fn of_gif(error: gif::DecodingError) -> Fault {
    match error {
        gif::DecodingError::Io(error) => error.into(),
        gif::DecodingError::UnexpectedEof => Fault::cut(),
        gif::DecodingError::MemoryLimit | gif::DecodingError::OutOfMemory => Fault::memory(),
        error => Fault::Damaged(error.to_string()),
    }
}

/// Decodes a WebP, or all pictures of an animated one.
pub(super) fn webp(medium: &mut Medium) -> Result<Extent, Fault> {
    medium.go_to(4);
    let announced = medium.next()?.map(u32::from_le_bytes).ok_or_else(Fault::cut)?;
    if u64::from(announced) + 8 > medium.length() {
        return Err(Fault::cut());
    }
    medium.go_to(0);
    let mut decoder = WebPDecoder::new(medium).map_err(of_webp)?;
    let (width, height) = decoder.dimensions();
    let bytes = decoder.output_buffer_size().filter(|bytes| *bytes as u64 <= HELD_BYTES / 2);
    let bytes = bytes.ok_or_else(|| Fault::too_large(width, height, HELD_BYTES / 8))?;
    let mut buffer = vec![0; bytes];
    if !decoder.is_animated() {
        decoder.read_image(&mut buffer).map_err(of_webp)?;
        return Ok(decoded((width, height), 1));
    }
    let pictures = decoder.num_frames();
    for _ in 0..pictures {
        decoder.read_frame(&mut buffer).map_err(of_webp)?;
    }
    Ok(decoded((width, height), pictures.into()))
}

fn of_webp(error: image_webp::DecodingError) -> Fault {
    use image_webp::DecodingError as Error;
    match error {
        Error::IoError(error) => error.into(),
        Error::ImageTooLarge | Error::MemoryLimitExceeded => Fault::memory(),
        error => Fault::Damaged(error.to_string()),
    }
}

/// Decodes every strip and tile of every page of a TIFF.
pub(super) fn tiff(medium: &mut Medium) -> Result<Extent, Fault> {
    medium.go_to(0);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = usize::try_from(HELD_BYTES).map_err(|_| Fault::memory())?;
    limits.intermediate_buffer_size = limits.decoding_buffer_size / 2;
    let mut decoder = Tiff::new(medium).map_err(of_tiff)?.with_limits(limits);
    let size = decoder.dimensions().map_err(of_tiff)?;
    let mut pages = 0;
    loop {
        let parts = match decoder.get_chunk_type() {
            ChunkType::Strip => decoder.strip_count(),
            ChunkType::Tile => decoder.tile_count(),
        };
        for part in 0..parts.map_err(of_tiff)? {
            decoder.read_chunk(part).map_err(of_tiff)?;
        }
        pages += 1;
        if !decoder.more_images() {
            return Ok(decoded(size, pages));
        }
        if pages >= PICTURES.into() {
            return Err(Fault::Unexamined(format!("it has more than {PICTURES} pages")));
        }
        decoder.next_image().map_err(of_tiff)?;
    }
}

fn of_tiff(error: TiffError) -> Fault {
    match error {
        TiffError::IoError(error) => error.into(),
        TiffError::LimitsExceeded => Fault::memory(),
        TiffError::UnsupportedError(error) => Fault::Unexamined(error.to_string()),
        error => Fault::Damaged(error.to_string()),
    }
}

/// Decodes a BMP.
pub(super) fn bmp(medium: &mut Medium) -> Result<Extent, Fault> {
    medium.go_to(2);
    let announced = medium.next()?.map(u32::from_le_bytes).ok_or_else(Fault::cut)?;
    if u64::from(announced) > medium.length() {
        return Err(Fault::cut());
    }
    medium.go_to(0);
    let most = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
    let options =
        DecoderOptions::default().set_strict_mode(true).set_max_width(most).set_max_height(most);
    let mut decoder = BmpDecoder::new_with_options(BufReader::new(medium), options);
    decoder.decode_headers().map_err(|error| of_bmp(&error))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let size =
        (u32::try_from(width).unwrap_or(u32::MAX), u32::try_from(height).unwrap_or(u32::MAX));
    if decoder.output_buf_size().is_none_or(|bytes| bytes as u64 > HELD_BYTES) {
        return Err(Fault::too_large(size.0, size.1, HELD_BYTES / 4));
    }
    decoder.decode().map_err(|error| of_bmp(&error))?;
    Ok(decoded(size, 1))
}

/// Nothing in a BMP could be wrong but its length, which was looked at before. What the decoder
/// does not like is a form that it does not know.
fn of_bmp(error: &BmpDecoderErrors) -> Fault {
    let why = format!("{error:?}");
    Fault::Unexamined(format!("its form is not read here ({})", why.trim()))
}

fn decoded((width, height): (u32, u32), pictures: u64) -> Extent {
    Extent::whole(match pictures {
        1 => format!("decoded, {width} by {height}"),
        _ => format!("{pictures} pictures decoded, {width} by {height}"),
    })
}

impl From<io::Error> for Fault {
    /// The pipe does not break without this process ending: what is left is the medium's end.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::cut(),
            _ => Self::Damaged(error.to_string()),
        }
    }
}
