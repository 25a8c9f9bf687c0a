//! The retention appliance.

pub mod accounts;
pub mod audit;
pub mod backup;
pub mod config;
pub mod files;
pub mod records;
pub mod store;
