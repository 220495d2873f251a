//! The local Fireworks is like the real one: its answers, its checks, its
//! streams, its faults and its counts.

mod answers;
mod checks;
mod client;
mod counts;
mod dialects;
mod embeddings;
mod envelope;
mod faults;
mod refusals;
mod replicas;
