//! `memcache`.
