//! One binary for every test of the whole house.

mod failures;
mod floors;
mod house;
mod intake;
mod road;
