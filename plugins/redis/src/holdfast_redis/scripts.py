"""The scripts that run inside the server, each as one atomic step.

Times cross as text, since Lua would shorten them; all other numbers are whole and small enough. A script writes nothing
before it has read everything it depends on: an error half way would not be undone.
"""

from __future__ import annotations

from hashlib import sha1

_CLOCK = """
local clock = redis.call('TIME')
local now = string.format('%s.%06d', clock[1], clock[2])
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""

_INDEX = """
-- Two writes of one conversation may arrive in either order; the later time stays.
local function later(key, member, time)
  local standing = redis.call('ZSCORE', key, member)
  return not standing or tonumber(standing) <= tonumber(time)
end
local function remember_expiry(recent, expiring, member, expires)
  redis.call('ZADD', expiring, expires, member)
  -- Whoever writes takes a few of the expired along, so that they never pile up.
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', expiring, '-inf', '(' .. now_ms, 'LIMIT', 0, 4)) do
    redis.call('ZREM', recent, gone)
    redis.call('ZREM', expiring, gone)
  end
end
local function remember_user(key, member, updated, ttl)
  local left = redis.call('PTTL', key)  -- -2: no such key, -1: it stays
  redis.call('ZADD', key, updated, member)
  if ttl then
    if left == -2 or (left >= 0 and left < ttl) then redis.call('PEXPIRE', key, ttl) end
  elseif left >= 0 then
    redis.call('PERSIST', key)
  end
end
"""


class Script:
    """A script's text, and the digest the server knows it by once it has seen it."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


WRITTEN, DUPLICATE, REFUSED, DAMAGED = 0, 1, 2, 3

APPEND = Script(
    _CLOCK
    + _INDEX
    + """
-- KEYS: head, log; on one server also recent, expiring.
-- ARGV: expected; field of the batch; id; options; then, if the options are not '', prefix of users' keys and user; event...
-- Options: 'TTL BEGUN OFFSET INSIST USER': ms to live or 0, sessions that begin, offset of the last of them, 1 to write
--   even if the batch stands already, 1 if a user is given.
-- Returns the new version if there is nothing else to say, or: outcome, version, updated, expiry in ms or nothing, user
--   or nothing, the user before or nothing.
local head = redis.call('HMGET', KEYS[1], 'v', 'f', 's', 'sf', 'u', 'x', 'user', ARGV[2])
local expected, version, first = tonumber(ARGV[1]), 0, 1
if head[1] then version, first = tonumber(head[1]), tonumber(head[2]) end
local ttl, begun, offset, insist, user, skip = 0, 0, 0, '0', head[7], 4
if ARGV[4] ~= '' then
  local named
  ttl, begun, offset, insist, named = string.match(ARGV[4], '^(%d+) (%d+) (%d+) (%d) (%d)$')
  ttl, begun, offset, skip = tonumber(ttl), tonumber(begun), tonumber(offset), 6
  if named == '1' then user = ARGV[6] end
end

if head[8] then
  local begins, ends = string.match(head[8], '^(%d+) (%d+)$')
  if expected ~= -1 and expected ~= begins - 1 then return {2, version} end
  -- WAIT and WAITAOF wait for what this connection wrote last, so it must have written something.
  if insist == '1' then redis.call('HSET', KEYS[1], 'v', version) end
  return {1, tonumber(ends), head[5], head[6], head[7], head[7]}
end
if expected ~= -1 and expected ~= version then return {2, version} end

local member, size = ARGV[3], #ARGV - skip
local last, expires = version + size, ttl > 0 and now_ms + ttl

-- The indexes come first: what is left of them if a later step is refused does no harm.
if KEYS[3] then
  redis.call('ZADD', KEYS[3], now, member)
  if expires then
    remember_expiry(KEYS[3], KEYS[4], member, expires)
  elseif head[6] then
    redis.call('ZREM', KEYS[4], member)
  end
  if user then
    local users = skip == 6 and ARGV[5] or string.gsub(KEYS[3], 'recent:{0}$', 'user:')
    remember_user(users .. user, member, now, expires and ttl)
    if head[7] and head[7] ~= user then redis.call('ZREM', users .. head[7], member) end
  end
end
local length
for from = skip + 1, #ARGV, 4000 do
  length = redis.call('RPUSH', KEYS[2], unpack(ARGV, from, math.min(from + 3999, #ARGV)))
end
if length ~= last - first + 1 then
  redis.call('LTRIM', KEYS[2], 0, -1 - size)
  return {3, version}
end
local fields = {'v', last, 'u', now, ARGV[2], version + 1 .. ' ' .. last}
local function set(name, value) fields[#fields + 1] = name; fields[#fields + 1] = value end
if not head[1] then set('f', 1); set('c', now) end
if begun > 0 or not head[1] then
  set('s', (head[3] or 0) + begun)
  set('sf', begun > 0 and version + 1 + offset or 1)
end
if user ~= head[7] then set('user', user) end
if expires then set('x', expires) end
redis.call('HSET', KEYS[1], unpack(fields))
if expires then
  for number = 1, 2 do redis.call('PEXPIREAT', KEYS[number], expires) end
elseif head[6] then
  redis.call('HDEL', KEYS[1], 'x')
  for number = 1, 2 do redis.call('PERSIST', KEYS[number]) end
end
if KEYS[3] then return last end
return {0, last, now, expires and tostring(expires), user, head[7]}
"""
)

READ = Script(
    """
-- KEYS: head, log. ARGV: first, last, how many events at most, about how many bytes at most.
-- Returns nothing, or: created, version, number of the first event returned, events.
local head = redis.call('HMGET', KEYS[1], 'v', 'f', 'c')
if not head[1] then return {} end
local kept_first, version = tonumber(head[2]), tonumber(head[1])
local first = math.max(tonumber(ARGV[1]), kept_first)
local last = math.min(tonumber(ARGV[2]), version, first + tonumber(ARGV[3]) - 1)
local texts, bytes, step = {}, 0, 32
while first + #texts <= last and bytes < tonumber(ARGV[4]) do
  local from = first + #texts - kept_first
  local chunk = redis.call('LRANGE', KEYS[2], from, math.min(from + step - 1, last - kept_first))
  if #chunk == 0 then break end
  for _, text in ipairs(chunk) do
    texts[#texts + 1] = text
    bytes = bytes + #text
  end
end
return {head[3], version, first, texts}
"""
)

TRUNCATE = Script(
    """
-- KEYS: head, log. ARGV: before. Returns how many events were erased; a batch that lost its first is forgotten.
local head = redis.call('HMGET', KEYS[1], 'v', 'f')
if not head[1] then return 0 end
local first = tonumber(head[2])
local erased = math.min(tonumber(ARGV[1]) - 1, tonumber(head[1])) - first + 1
if erased <= 0 then return 0 end
redis.call('LTRIM', KEYS[2], erased, -1)
redis.call('HSET', KEYS[1], 'f', first + erased)
local fields = redis.call('HGETALL', KEYS[1])
for number = 1, #fields, 2 do
  if string.sub(fields[number], 1, 2) == 'b:' and tonumber(string.match(fields[number + 1], '^%d+')) < first + erased then
    redis.call('HDEL', KEYS[1], fields[number])
  end
end
return erased
"""
)

DELETE = Script(
    _CLOCK
    + """
-- KEYS: head, log; on one server also recent, expiring. ARGV: id, prefix of users' keys.
-- Returns: whether anything was there, its user or nothing, the time.
local user = redis.call('HGET', KEYS[1], 'user')
local there = redis.call('UNLINK', KEYS[1], KEYS[2])
if KEYS[3] then
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
  if user then redis.call('ZREM', ARGV[2] .. user, ARGV[1]) end
end
return {there, user, now}
"""
)

REMEMBER = Script(
    _CLOCK
    + _INDEX
    + """
-- KEYS: recent, expiring. ARGV: id, updated, expiry in ms or ''.
if later(KEYS[1], ARGV[1], ARGV[2]) then
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
  if ARGV[3] ~= '' then
    remember_expiry(KEYS[1], KEYS[2], ARGV[1], ARGV[3])
  else
    redis.call('ZREM', KEYS[2], ARGV[1])
  end
end
return 1
"""
)

REMEMBER_USER = Script(
    _CLOCK
    + _INDEX
    + """
-- KEYS: a user's index. ARGV: id, updated, expiry in ms or ''.
if later(KEYS[1], ARGV[1], ARGV[2]) then
  remember_user(KEYS[1], ARGV[1], ARGV[2], ARGV[3] ~= '' and math.max(1, ARGV[3] - now_ms))
end
return 1
"""
)

FORGET = Script(
    """
-- KEYS: an index, and others of the same members. ARGV: id, time, id, time...
-- Removes each id that was not written again since its time.
for number = 1, #ARGV, 2 do
  local standing = redis.call('ZSCORE', KEYS[1], ARGV[number])
  if standing and tonumber(standing) <= tonumber(ARGV[number + 1]) then
    for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[number]) end
  end
end
return 1
"""
)

PRUNE = Script(
    _CLOCK
    + """
-- KEYS: recent, expiring. Removes up to 1000 that expired. Returns: how many, how many are left in recent.
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. now_ms, 'LIMIT', 0, 1000)
for _, member in ipairs(gone) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZREM', KEYS[2], member)
end
return {#gone, redis.call('ZCARD', KEYS[1])}
"""
)
