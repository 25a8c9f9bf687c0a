//! The retention appliance.

pub mod accounts;
pub mod archive;
pub mod audit;
pub mod backup;
pub mod config;
pub mod files;
pub mod intake;
pub mod records;
pub mod store;
