//! The protocol by which workers share flights, proved: a pure state machine of
//! it is tried in many orders of everything that can happen, and does what the
//! scripts do that Redis runs.

mod model;
mod orders;
mod scripts;
mod world;
