//! The appliance as a whole, with its real parts: MongoDB, OpenSSH and the daemon.
//!
//! A part that is missing is a failure, never a skip.

mod intake;
mod world;
