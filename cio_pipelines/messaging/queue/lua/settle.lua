-- ARGV: token; of each settlement: id, lease, kind, and
--   D (delivered): result, ''; R (retried), U (retried, the attempt does not count): time, failure or '';
--   B (buried): reason, failure.
-- Returns how many leases were no longer held.
local done = P .. ':done:' .. ARGV[1]
local known = redis.call('GET', done)
if known then return tonumber(known) end

local stale = 0
local gone, released, ready, ended = {}, {}, {}, {}

local function into(lists, queue, ...)
  local list = lists[queue]
  if not list then
    list = {}
    lists[queue] = list
  end
  for n = 1, select('#', ...) do list[#list + 1] = (select(n, ...)) end
end

-- the first one of a line ended: the next one may go
local function advance(line)
  local key = P .. ':line:' .. line
  local first = redis.call('LRANGE', key, 0, 1)
  if #first < 2 then
    gone[#gone + 1] = key
    return
  end
  redis.call('LPOP', key)
  local fields = redis.call('HMGET', P .. ':m:' .. first[2], 'q', 'w', 'e')
  into(ready, fields[1], fields[2] or fields[3], first[2])
end

for at = 2, #ARGV, 5 do
  local id, lease, kind, what, failure = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local key = P .. ':m:' .. id
  local fields = redis.call('HMGET', key, 't', 'q', 'h', 'k', 'i', 'f', 'a')
  local queue, line, keep, idempotency = fields[2], fields[3], tonumber(fields[4]), fields[5]
  if fields[1] ~= lease then
    stale = stale + 1
  else
    into(released, queue, id)
    if kind == 'D' then
      gone[#gone + 1] = P .. ':v:' .. id
      if keep and keep > 0 then
        local milliseconds = math.ceil(keep * 1000)
        redis.call('HDEL', key, 't', 'h')
        redis.call('HSET', key, 's', 'delivered', 'z', what)
        redis.call('PEXPIRE', key, milliseconds)
        if idempotency then redis.call('PEXPIRE', P .. ':key:' .. idempotency, milliseconds) end
      else
        gone[#gone + 1] = key
        if idempotency then gone[#gone + 1] = P .. ':key:' .. idempotency end
      end
    else
      redis.call('HDEL', key, 't')
      if failure ~= '' then redis.call('HSET', key, 'f', with_failure(fields[6], failure)) end
    end
    if kind == 'B' then
      redis.call('HSET', key, 's', 'dead', 'r', what, 'd', now)
      redis.call('ZADD', P .. ':dead:' .. queue, now, id)
    end
    if kind == 'R' or kind == 'U' then
      into(ready, queue, what, id)
      if kind == 'U' then redis.call('HSET', key, 'a', tonumber(fields[7]) - 1) end
    else
      ended[queue] = (ended[queue] or 0) + 1
      advance(line)
    end
  end
end
for queue, list in pairs(released) do many('ZREM', P .. ':leased:' .. queue, list) end
for queue, list in pairs(ready) do many('ZADD', P .. ':ready:' .. queue, list) end
for queue, number in pairs(ended) do redis.call('HINCRBY', P .. ':live', queue, -number) end
many('UNLINK', nil, gone)
redis.call('SET', done, stale, 'EX', DONE_SECONDS)
return stale
