//! The right to write, with a fence that only grows, kept in Redis; never a guarantee by itself: the fence in every
//! id is what stops a stale holder.

use redis::{Connection, Script};

use crate::error::BusError;

/// Takes a free lease, raises the fence above everything in the stream, and writes it as a barrier, at once.
const ACQUIRE: &str = r"
local held = redis.call('GET', KEYS[1])
if held then return {0, held} end
local fence = redis.call('INCR', KEYS[2])
local top = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
if top[1] then
  local newest = tonumber(string.match(top[1][1], '^(%d+)-'))
  if newest >= fence then
    fence = newest + 1
    redis.call('SET', KEYS[2], string.format('%.0f', fence))
  end
end
local text = string.format('%.0f', fence)
redis.call('SET', KEYS[1], text, 'PX', ARGV[1])
redis.call('XADD', KEYS[3], text .. '-0', 'fence', text)
return {1, text}
";

const RENEW: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
";

const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
";

/// The keys of one journal; the braces keep them on one node of a cluster.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The stream.
    pub journal: String,
    /// Who writes.
    pub lease: String,
    /// The last fence given out.
    pub epoch: String,
}

impl Keys {
    /// The keys of the journal `name`.
    pub fn new(name: &str) -> Self {
        let key = |part| format!("{{{name}}}:v1:{part}");
        Self { journal: key("journal"), lease: key("lease"), epoch: key("epoch") }
    }
}

/// A lease that was acquired.
#[derive(Clone, Debug)]
pub struct Lease {
    fence: u64,
    ttl_ms: u64,
    key: String,
}

impl Lease {
    /// Takes the lease if it is free, for `ttl_ms` milliseconds.
    pub fn acquire(con: &mut Connection, keys: &Keys, ttl_ms: u64) -> Result<Self, BusError> {
        let script = Script::new(ACQUIRE);
        let mut call = script.key(&keys.lease);
        let (free, fence): (u8, u64) = call.key(&keys.epoch).key(&keys.journal).arg(ttl_ms).invoke(con)?;
        match free {
            1 => Ok(Self { fence, ttl_ms, key: keys.lease.clone() }),
            _ => Err(BusError::LeaseHeld { holder: fence }),
        }
    }

    /// The fence: larger than that of every holder before.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Holds it for another while; [`BusError::LeaseLost`] if it ended.
    pub fn renew(&self, con: &mut Connection) -> Result<(), BusError> {
        let script = Script::new(RENEW);
        let kept: u8 = script.key(&self.key).arg(self.fence).arg(self.ttl_ms).invoke(con)?;
        if kept == 1 { Ok(()) } else { Err(BusError::LeaseLost { fence: self.fence }) }
    }

    /// Gives it back, so that the next holder need not wait.
    pub fn release(self, con: &mut Connection) -> Result<(), BusError> {
        let script = Script::new(RELEASE);
        let had: u8 = script.key(&self.key).arg(self.fence).invoke(con)?;
        if had == 1 { Ok(()) } else { Err(BusError::LeaseLost { fence: self.fence }) }
    }
}
