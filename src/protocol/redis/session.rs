//! Which commands leave something behind on their connection.

use super::words;
use crate::protocol::Session;

/// Commands that leave nothing behind, in order. Those that are not here may: MONITOR, SELECT, AUTH, HELLO, CLIENT, READONLY,
/// ASKING, SCRIPT DEBUG, subscriptions, and all that are not known.
#[rustfmt::skip]
const STATELESS: [&str; 205] = [
    "append", "bitcount", "bitfield", "bitfield_ro", "bitop", "bitpos", "blmove", "blmpop", "blpop", "brpop", "brpoplpush",
    "bzmpop", "bzpopmax", "bzpopmin", "cluster", "command", "config", "copy", "dbsize", "decr", "decrby", "del", "dump",
    "echo", "eval", "eval_ro", "evalsha", "evalsha_ro", "exists", "expire", "expireat", "expiretime", "fcall", "fcall_ro",
    "flushall", "flushdb", "geoadd", "geodist", "geohash", "geopos", "georadius", "georadius_ro", "georadiusbymember",
    "georadiusbymember_ro", "geosearch", "geosearchstore", "get", "getbit", "getdel", "getex", "getrange", "getset", "hdel",
    "hexists", "hexpire", "hexpireat", "hexpiretime", "hget", "hgetall", "hgetdel", "hgetex", "hincrby", "hincrbyfloat",
    "hkeys", "hlen", "hmget", "hmset", "hpersist", "hpexpire", "hpexpireat", "hpexpiretime", "hpttl", "hrandfield", "hscan",
    "hset", "hsetex", "hsetnx", "hstrlen", "httl", "hvals", "incr", "incrby", "incrbyfloat", "info", "keys", "lcs",
    "lindex", "linsert", "llen", "lmove", "lmpop", "lpop", "lpos", "lpush", "lpushx", "lrange", "lrem", "lset", "ltrim",
    "memory", "mget", "move", "mset", "msetnx", "object", "persist", "pexpire", "pexpireat", "pexpiretime", "pfadd",
    "pfcount", "pfmerge", "ping", "psetex", "pttl", "publish", "pubsub", "randomkey", "rename", "renamenx", "restore",
    "role", "rpop", "rpoplpush", "rpush", "rpushx", "sadd", "scan", "scard", "sdiff", "sdiffstore", "set", "setbit",
    "setex", "setnx", "setrange", "sinter", "sintercard", "sinterstore", "sismember", "smembers", "smismember", "smove",
    "sort", "sort_ro", "spop", "spublish", "srandmember", "srem", "sscan", "strlen", "substr", "sunion", "sunionstore",
    "time", "touch", "ttl", "type", "unlink", "xack", "xadd", "xautoclaim", "xclaim", "xdel", "xgroup", "xinfo", "xlen",
    "xpending", "xrange", "xread", "xreadgroup", "xrevrange", "xtrim", "zadd", "zcard", "zcount", "zdiff", "zdiffstore",
    "zincrby", "zinter", "zintercard", "zinterstore", "zlexcount", "zmpop", "zmscore", "zpopmax", "zpopmin", "zrandmember",
    "zrange", "zrangebylex", "zrangebyscore", "zrangestore", "zrank", "zrem", "zremrangebylex", "zremrangebyrank",
    "zremrangebyscore", "zrevrange", "zrevrangebylex", "zrevrangebyscore", "zrevrank", "zscan", "zscore", "zunion",
    "zunionstore",
];

/// The length of the longest name, in bytes.
const LONGEST: usize = b"georadiusbymember_ro".len();

/// What is left behind after the command with this head.
pub(in crate::protocol) fn session(before: Session, head: &[u8]) -> Session {
    let (command, argument) = words(head);
    let mut lower = [0; LONGEST];
    let Some(name) = lower.get_mut(..command.len()) else { return Session::Kept };
    name.copy_from_slice(command);
    name.make_ascii_lowercase();
    // Redis refuses these commands with an argument, and then they end nothing.
    let is_alone = if head.starts_with(b"*") { head.starts_with(b"*1\r") } else { argument.is_empty() };
    match (&*name, before) {
        (b"multi", _) => Session::Transaction,
        (b"exec" | b"discard", Session::Transaction) | (b"unwatch", Session::Watching) if is_alone => Session::Clean,
        (b"watch", Session::Unused | Session::Clean) => Session::Watching,
        // Refused, or queued: it changes nothing.
        (b"exec" | b"discard" | b"watch" | b"unwatch", before) => before,
        (name, before) if STATELESS.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok() => before,
        _ => Session::Kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order_and_fit() {
        assert!(STATELESS.is_sorted());
        assert_eq!(STATELESS.iter().map(|name| name.len()).max(), Some(LONGEST));
    }
}
