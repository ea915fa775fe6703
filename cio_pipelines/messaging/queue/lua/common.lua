-- What the scripts of the queue share; put in front of each.
--
-- KEYS[1] is the prefix, a hash tag, so that a cluster keeps all keys in one slot. What every message has
-- lies in few large hashes, so that a script reads and writes many messages with one command:
--   <p>:values      HASH  by id: line, body and more, as the client wrote them
--   <p>:states      HASH  by id: "lease|attempts|m"; the lease is empty when nobody holds the message, the m is
--                         there when <p>:m:<id> is. Fresh messages have none, nor have those that ended
--   <p>:lines       HASH  by line: how many messages are in it
--   <p>:line:<sha1> LIST  of a line with more than one: "id since|queue" of all but the first
--   <p>:ready:<q>   ZSET  first ones of their lines, by the time they may go
--   <p>:leased:<q>  ZSET  first ones that somebody holds, by the time their lease ends
--   <p>:due:<q>     ZSET  scheduled messages, not in their line yet, by the time they join it
--   <p>:dead:<q>    ZSET  dead letters by the time they died
--   <p>:m:<id>      HASH  what few messages have: q queue, l line, y first bytes of the value, k keep seconds,
--                         n not before, i idempotency key (hashed), f failures; of ended ones s "delivered" or
--                         "dead", a attempts, z result, r reason, d died at
--   <p>:key:<i>     id and fingerprint of the message with an idempotency key
--   <p>:live        HASH  number of messages of each queue that are waiting, delayed or in flight
--   <p>:done:<…>    what a call did, for a while: so that it can be repeated when its answer was lost

local P = KEYS[1]
local VALUES, STATES, LINES = P .. ':values', P .. ':states', P .. ':lines'
local QUEUES = {'identify', 'track', 'transactional', 'broadcast'}
local ID = 26 -- characters
local PORTION = 1000 -- scheduled messages that a call moves
local DONE_SECONDS = 60
local FAILURES_BYTES = 16000

-- as text, for a script's numbers lose their fraction on the way out, and cost more than text on the way in
local function exact(number) return string.format('%.6f', number) end

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local now_text = exact(now)

-- one command for many values: Lua cannot pass any number of arguments
local function many(command, key, values)
  for first = 1, #values, 1000 do
    redis.call(command, key, unpack(values, first, math.min(first + 999, #values)))
  end
end

-- the values of many fields of a hash, false where there is none
local function fetch(key, fields)
  if #fields <= 1000 then return #fields > 0 and redis.call('HMGET', key, unpack(fields)) or {} end
  local found = {}
  for first = 1, #fields, 1000 do
    for n, value in ipairs(redis.call('HMGET', key, unpack(fields, first, math.min(first + 999, #fields)))) do
      found[first + n - 1] = value
    end
  end
  return found
end

local function push(list, ...)
  for n = 1, select('#', ...) do list[#list + 1] = (select(n, ...)) end
end

local function into(lists, name, one, other)
  local list = lists[name]
  if not list then
    list = {}
    lists[name] = list
  end
  list[#list + 1] = one
  if other then list[#list + 1] = other end
end

-- lease ('' when nobody holds it), attempts, and 'm' or ''
local function parts(state)
  if not state then return '', 0, '' end
  local lease, attempts, more = string.match(state, '^(.-)|(%d+)|(m?)$')
  return lease, tonumber(attempts), more
end

local function message(id) return P .. ':m:' .. id end

local function followers(line) return P .. ':line:' .. redis.sha1hex(line) end

-- a history with one line more; the oldest go when it is long
local function add_failure(id, line)
  local failures = redis.call('HGET', message(id), 'f') or ''
  if #failures + #line > FAILURES_BYTES then
    failures = string.sub(failures, (string.find(failures, '\n', 1, true) or #failures) + 1)
  end
  redis.call('HSET', message(id), 'f', failures .. line)
end

-- to the end of its line, where it may go at once if it is alone
local function join(id, queue, line, since)
  if redis.call('HINCRBY', LINES, line, 1) == 1 then
    redis.call('ZADD', P .. ':ready:' .. queue, since, id)
  else
    redis.call('RPUSH', followers(line), id .. since .. '|' .. queue)
  end
end

local function join_due()
  local due = {}
  for _, queue in ipairs(QUEUES) do
    local key = P .. ':due:' .. queue
    local found = redis.call('ZRANGEBYSCORE', key, '-inf', now_text, 'WITHSCORES', 'LIMIT', 0, PORTION)
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
    join(one.id, one.queue, redis.call('HGET', message(one.id), 'l'), exact(one.at))
  end
end
