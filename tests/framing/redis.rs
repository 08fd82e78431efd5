//! `redis`.
