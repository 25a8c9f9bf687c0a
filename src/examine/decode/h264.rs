//! H.264, read as far as it can be without a decoder: every unit's length and header, the
//! parameter sets, and the header of every slice. The pictures themselves are not decoded.

use std::collections::BTreeMap;

use h264_reader::{
    Context,
    avcc::AvcDecoderConfigurationRecord,
    nal::{
        Nal, RefNal, UnitType,
        pps::{PicParameterSet, PpsError},
        slice::{SliceHeader, SliceHeaderError},
        sps::{SeqParameterSet, SpsError},
    },
};

use super::Fault;

/// A track of H.264 while it is read.
pub(super) struct H264 {
    context: Context,
    length_bytes: usize,
    /// Slices whose header was read.
    pub(super) slices: u64,
    /// Units by whether they could be parsed: of rare kinds only the header is.
    passed_over: BTreeMap<u8, u64>,
}

impl H264 {
    /// Begins with what the container says of the track.
    pub(super) fn new(configuration: &[u8]) -> Result<Self, Fault> {
        let damaged = || Fault::Damaged("the description of its video cannot be read".into());
        let record =
            AvcDecoderConfigurationRecord::try_from(configuration).map_err(|_| damaged())?;
        let length_bytes = usize::from(record.length_size_minus_one()) + 1;
        let mut own =
            Self { context: Context::new(), length_bytes, slices: 0, passed_over: BTreeMap::new() };
        for set in record.sequence_parameter_sets().chain(record.picture_parameter_sets()) {
            own.unit(set.map_err(|_| damaged())?)?;
        }
        Ok(own)
    }

    /// Reads the units of one picture.
    pub(super) fn sample(&mut self, mut sample: &[u8]) -> Result<(), Fault> {
        while !sample.is_empty() {
            let (length, rest) = sample.split_at_checked(self.length_bytes).ok_or_else(broken)?;
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let (unit, rest) = rest.split_at_checked(length).ok_or_else(broken)?;
            if !unit.is_empty() {
                self.unit(unit)?;
            }
            sample = rest;
        }
        Ok(())
    }

    /// Whether each unit was of a kind that is read here.
    pub(super) fn all_known(&self) -> bool {
        self.passed_over.is_empty()
    }

    fn unit(&mut self, unit: &[u8]) -> Result<(), Fault> {
        if holds_forbidden(unit) {
            return Err(broken());
        }
        let nal = RefNal::new(unit, &[], true);
        let header = nal.header().map_err(|_| broken())?;
        match header.nal_unit_type() {
            UnitType::SeqParameterSet => match SeqParameterSet::from_bits(nal.rbsp_bits()) {
                Ok(set) => self.context.put_seq_param_set(set),
                Err(SpsError::RbspReaderError(_)) => return Err(broken()),
                Err(_) => self.pass_over(header.nal_unit_type()),
            },
            UnitType::PicParameterSet => {
                match PicParameterSet::from_bits(&self.context, nal.rbsp_bits()) {
                    Ok(set) => self.context.put_pic_param_set(set),
                    Err(PpsError::RbspReaderError(_)) => return Err(broken()),
                    Err(_) => self.pass_over(header.nal_unit_type()),
                }
            }
            UnitType::SliceLayerWithoutPartitioningIdr
            | UnitType::SliceLayerWithoutPartitioningNonIdr => {
                let read =
                    SliceHeader::from_bits(&self.context, &mut nal.rbsp_bits(), header, None);
                match read {
                    Ok(_) => self.slices += 1,
                    Err(SliceHeaderError::UnsupportedSyntax(_)) => {
                        self.pass_over(header.nal_unit_type());
                    }
                    // It belongs to a set that could not be read.
                    Err(
                        SliceHeaderError::UndefinedPicParamSetId(_)
                        | SliceHeaderError::UndefinedSeqParamSetId(_),
                    ) if !self.all_known() => self.pass_over(header.nal_unit_type()),
                    Err(_) => return Err(broken()),
                }
            }
            UnitType::SEI | UnitType::AccessUnitDelimiter | UnitType::FillerData => {}
            UnitType::EndOfSeq | UnitType::EndOfStream => {}
            UnitType::Unspecified(0) | UnitType::Reserved(_) => return Err(broken()),
            rare => self.pass_over(rare),
        }
        Ok(())
    }

    fn pass_over(&mut self, kind: UnitType) {
        *self.passed_over.entry(kind.id()).or_default() += 1;
    }
}

fn broken() -> Fault {
    Fault::Damaged("its video is broken".into())
}

/// Whether a unit holds bytes that none may hold: two zeros and then 0, 1 or 2.
fn holds_forbidden(unit: &[u8]) -> bool {
    let found = |place: usize| matches!(unit.get(place + 2), Some(0..=2));
    // Zeros that fill the end up belong to no unit.
    let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |place| place + 1);
    memchr::memmem::find_iter(&unit[..end], b"\0\0").any(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_code_inside_a_unit_is_damage() {
        for (unit, forbidden) in [
            (&b"\x65\0\0\x03\x01abc"[..], false),
            (b"\x65abc\0\0\0", false),
            (b"\x65a\0\0\x01bc", true),
            (b"\x65a\0\0\0bc", true),
            (b"\x65", false),
        ] {
            assert_eq!(holds_forbidden(unit), forbidden, "{unit:x?}");
        }
    }
}
