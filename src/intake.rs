//! Intake
pub mod counters;
pub mod media;
pub mod reading;
