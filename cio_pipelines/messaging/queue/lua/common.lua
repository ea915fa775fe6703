-- What the scripts of the queue share; put in front of each.
--
-- KEYS[1] is the prefix, a hash tag, so that a cluster keeps all keys in one slot:
--   <p>:m:<id>      HASH  a message: q queue, h line (hashed), e enqueued at, w waits since (if not e),
--                         a attempts, t lease, f failures, k keep seconds, i idempotency key (hashed),
--                         n not before, s "delivered" or "dead", r reason, d died at, z result
--   <p>:v:<id>      its line and body, as the client wrote them
--   <p>:line:<h>    LIST of message ids; only the first one is ever in <p>:ready or <p>:leased
--   <p>:ready:<q>   ZSET  first ones of their lines, by the time they may go
--   <p>:leased:<q>  ZSET  first ones that somebody holds, by the time their lease ends
--   <p>:due:<q>     ZSET  scheduled messages, not in their line yet, by the time they join it
--   <p>:dead:<q>    ZSET  dead letters by the time they died
--   <p>:key:<i>     id and fingerprint of the message with an idempotency key
--   <p>:live        HASH  number of messages of each queue that are waiting, delayed or in flight
--   <p>:done:<…>    what a call did, for a while: so that it can be repeated when its answer was lost

local P = KEYS[1]
local QUEUES = {'identify', 'track', 'transactional', 'broadcast'}
local PORTION = 1000 -- scheduled messages that a call moves
local DONE_SECONDS = 60
local FAILURES_BYTES = 16000

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

-- a number that the client reads: what scripts return as a number loses its fraction
local function exact(number) return string.format('%.6f', number) end

-- one command for many values; Lua cannot pass any number of arguments
local function many(command, key, values)
  for first = 1, #values, 1000 do
    local last = math.min(first + 999, #values)
    if key then
      redis.call(command, key, unpack(values, first, last))
    else
      redis.call(command, unpack(values, first, last))
    end
  end
end

local function push(list, ...)
  for _, value in ipairs({...}) do list[#list + 1] = value end
end

-- a history with one line more; the oldest go when it is long
local function with_failure(failures, line)
  failures = failures or ''
  if #failures + #line > FAILURES_BYTES then
    failures = string.sub(failures, (string.find(failures, '\n', 1, true) or #failures) + 1)
  end
  return failures .. line
end

-- to the end of its line, where it may go at once if it is alone
local function join(id, queue, line, since)
  if redis.call('RPUSH', P .. ':line:' .. line, id) == 1 then
    redis.call('ZADD', P .. ':ready:' .. queue, since, id)
  end
end

local function join_due()
  local due = {}
  for _, queue in ipairs(QUEUES) do
    local key = P .. ':due:' .. queue
    local found = redis.call('ZRANGEBYSCORE', key, '-inf', now, 'WITHSCORES', 'LIMIT', 0, PORTION)
    for n = 1, #found, 2 do
      due[#due + 1] = {id = found[n], at = tonumber(found[n + 1]), queue = queue}
    end
  end
  if #due == 0 then return end
  table.sort(due, function(one, other)
    if one.at ~= other.at then return one.at < other.at end
    return one.id < other.id
  end)
  for n = 1, math.min(#due, PORTION) do
    local one = due[n]
    redis.call('ZREM', P .. ':due:' .. one.queue, one.id)
    redis.call('HSET', P .. ':m:' .. one.id, 'w', one.at)
    join(one.id, one.queue, redis.call('HGET', P .. ':m:' .. one.id, 'h'), one.at)
  end
end
