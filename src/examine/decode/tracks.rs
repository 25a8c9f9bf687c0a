//! Sound and video: every packet of every track is read, and decoded where there is a decoder.

use std::collections::BTreeMap;

use opus_decoder::OpusDecoder;
use symphonia::core::{
    codecs::{
        CodecParameters,
        audio::{
            AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known::CODEC_ID_OPUS,
        },
        video::{
            VideoCodecParameters,
            well_known::{
                CODEC_ID_AV1, CODEC_ID_H264, CODEC_ID_HEVC, CODEC_ID_VP8, CODEC_ID_VP9,
                extra_data::VIDEO_EXTRA_DATA_ID_AVC_DECODER_CONFIG,
            },
        },
    },
    errors::Error as MediaError,
    formats::{FormatOptions, FormatReader, Track, probe::Hint},
    io::{MediaSource, MediaSourceStream},
    meta::MetadataOptions,
    packet::Packet,
};

use super::{Extent, Fault, Medium, h264::H264};
use crate::backup::examined::MediumKind;

/// The longest packet of Opus, in samples of all its channels: 120 ms at 48 kHz.
const OPUS_SAMPLES: usize = 5760 * 2;
/// Which error of a decoder only means that sound before the beginning is missing, and how many
/// packets that may concern.
const RESERVOIR_PACKETS: u64 = 4;

/// What is done with the packets of a track.
enum Way {
    /// They are decoded.
    Sound(Box<dyn AudioDecoder>),
    /// They are decoded, by another decoder.
    Opus(Box<OpusDecoder>),
    /// They are parsed.
    H264(Box<H264>),
    /// They are read, and that is all.
    Read(&'static str),
}

struct State {
    way: Way,
    packets: u64,
    samples: u64,
    /// How many samples the container promises.
    promised: Option<u64>,
}

/// Reads all tracks of a medium of this kind to their end. One that was never finished does not
/// know its own length, and ends where the file does.
pub(super) fn read(medium: Medium, kind: MediumKind, finished: bool) -> Result<Extent, Fault> {
    let stream = MediaSourceStream::new(Box::new(Source(medium)), Default::default());
    let mut hint = Hint::new();
    hint.with_extension(match kind {
        MediumKind::Wav => "wav",
        MediumKind::Mp3 => "mp3",
        MediumKind::Aac => "aac",
        MediumKind::Flac => "flac",
        MediumKind::Ogg => "ogg",
        MediumKind::Matroska => "mkv",
        _ => "mp4",
    });
    let probe = symphonia::default::get_probe();
    let options = (FormatOptions::default(), MetadataOptions::default());
    let found = probe.probe(&hint, stream, options.0, options.1);
    let mut container = found.map_err(|error| match error {
        // Every page was there: it looked for a codec that it knows, to the end.
        MediaError::IoError(_) if kind == MediumKind::Ogg => {
            Fault::Unexamined("there is no decoder for it here".into())
        }
        error => fault(error),
    })?;
    let exact = finished && matches!(kind, MediumKind::Wav | MediumKind::Flac);
    let mut tracks = begin(&*container, exact)?;
    loop {
        let packet = match container.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // Another stream follows in the same file, with tracks of its own.
            Err(MediaError::ResetRequired) => {
                check_end(&tracks)?;
                tracks = begin(&*container, exact)?;
                continue;
            }
            Err(MediaError::IoError(error))
                if !finished && error.kind() == std::io::ErrorKind::UnexpectedEof =>
            {
                break;
            }
            Err(error) => return Err(fault(error)),
        };
        if let Some(track) = tracks.get_mut(&packet.track_id) {
            track.take(&packet)?;
        }
    }
    check_end(&tracks)?;
    tell(tracks)
}

fn begin(container: &dyn FormatReader, exact: bool) -> Result<BTreeMap<u32, State>, Fault> {
    let state = |track: &Track| {
        let way = match &track.codec_params {
            Some(CodecParameters::Audio(sound)) => way_of_sound(sound)?,
            Some(CodecParameters::Video(video)) => way_of_video(video)?,
            Some(CodecParameters::Subtitle(_)) => Way::Read("subtitles"),
            _ => Way::Read("a track of unknown kind"),
        };
        let promised = track.num_frames.filter(|_| exact);
        Ok((track.id, State { way, packets: 0, samples: 0, promised }))
    };
    container.tracks().iter().map(state).collect()
}

fn way_of_sound(sound: &AudioCodecParameters) -> Result<Way, Fault> {
    if sound.codec == CODEC_ID_OPUS {
        let channels = sound.channels.as_ref().map_or(2, |channels| channels.count());
        return Ok(match OpusDecoder::new(48_000, channels) {
            Ok(decoder) => Way::Opus(Box::new(decoder)),
            Err(_) => Way::Read("Opus of many channels"),
        });
    }
    let options = AudioDecoderOptions::default().verify(true);
    match symphonia::default::get_codecs().make_audio_decoder(sound, &options) {
        Ok(decoder) => Ok(Way::Sound(decoder)),
        Err(MediaError::Unsupported(_)) => Ok(Way::Read("sound")),
        Err(error) => Err(fault(error)),
    }
}

fn way_of_video(video: &VideoCodecParameters) -> Result<Way, Fault> {
    let avc = |data: &&symphonia::core::codecs::video::VideoExtraData| {
        data.id == VIDEO_EXTRA_DATA_ID_AVC_DECODER_CONFIG
    };
    Ok(match (video.codec, video.extra_data.iter().find(avc)) {
        (CODEC_ID_H264, Some(data)) => Way::H264(Box::new(H264::new(&data.data)?)),
        (CODEC_ID_H264, None) => Way::Read("H.264 video"),
        (CODEC_ID_HEVC, _) => Way::Read("H.265 video"),
        (CODEC_ID_VP8, _) => Way::Read("VP8 video"),
        (CODEC_ID_VP9, _) => Way::Read("VP9 video"),
        (CODEC_ID_AV1, _) => Way::Read("AV1 video"),
        _ => Way::Read("video"),
    })
}

impl State {
    fn take(&mut self, packet: &Packet) -> Result<(), Fault> {
        self.packets += 1;
        match &mut self.way {
            Way::Sound(decoder) => match decoder.decode(packet) {
                Ok(decoded) => self.samples += decoded.frames() as u64,
                // Sound that was cut out of something longer refers to what came before.
                Err(MediaError::DecodeError(why))
                    if self.packets <= RESERVOIR_PACKETS && why.contains("main_data") => {}
                Err(error) => return Err(self.broken(error)),
            },
            Way::Opus(decoder) => {
                let mut samples = [0; OPUS_SAMPLES];
                let decoded = decoder.decode(&packet.data, &mut samples, false);
                self.samples += decoded.map_err(|error| self.broken(error))? as u64;
            }
            Way::H264(video) => video.sample(&packet.data)?,
            Way::Read(_) => {}
        }
        Ok(())
    }

    fn broken(&self, error: impl std::fmt::Display) -> Fault {
        Fault::Damaged(format!("packet {} of its sound cannot be decoded: {error}", self.packets))
    }
}

/// Whether each track had what was promised.
fn check_end(tracks: &BTreeMap<u32, State>) -> Result<(), Fault> {
    for track in tracks.values() {
        if let Some(promised) = track.promised.filter(|promised| track.samples < *promised) {
            let samples = track.samples;
            return Err(Fault::Damaged(format!("it ends after {samples} of {promised} samples")));
        }
    }
    if tracks.values().all(|track| track.packets == 0) {
        return Err(Fault::Damaged("there is no sound or video in it".into()));
    }
    Ok(())
}

fn tell(tracks: BTreeMap<u32, State>) -> Result<Extent, Fault> {
    let (mut whole, mut told) = (true, Vec::new());
    for mut track in tracks.into_values().filter(|track| track.packets > 0) {
        let packets = track.packets;
        told.push(match &mut track.way {
            Way::Sound(decoder) => {
                if decoder.finalize().verify_ok == Some(false) {
                    return Err(Fault::Damaged("the checksum of its sound is wrong".into()));
                }
                format!("sound decoded, {packets} packets")
            }
            Way::Opus(_) => format!("sound decoded, {packets} packets of Opus"),
            Way::H264(video) => {
                whole = false;
                let rest =
                    if video.all_known() { "" } else { ", some of a form that is not parsed" };
                let slices = video.slices;
                format!(
                    "H.264 video parsed but not decoded, {packets} pictures, {slices} slices{rest}"
                )
            }
            Way::Read(name) => {
                whole = false;
                format!("{name} read but not decoded, {packets} packets")
            }
        });
    }
    Ok(Extent { whole, how_far: told.join("; ") })
}

fn fault(error: MediaError) -> Fault {
    match error {
        MediaError::IoError(error) => error.into(),
        MediaError::Unsupported(what) => {
            Fault::Unexamined(format!("its form is not read here ({what})"))
        }
        // A limit of the library's own, which long descriptions of H.265 go beyond.
        MediaError::DecodeError(what) if what.contains("atom size is greater than") => {
            Fault::Unexamined(format!("a limit was reached ({what})"))
        }
        MediaError::LimitError(what) => Fault::Unexamined(format!("a limit was reached ({what})")),
        error => Fault::Damaged(error.to_string()),
    }
}

/// A medium where symphonia reads it.
struct Source(Medium);

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.0.length())
    }
}

impl std::io::Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Seek for Source {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}
