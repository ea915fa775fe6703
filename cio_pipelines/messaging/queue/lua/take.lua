-- ARGV: token (which becomes the lease), token of the caller's take before, queue, limit, lease seconds.
-- Returns {end of the lease, {id, line and body, enqueued at, attempt, …}}.
local token, queue, limit = ARGV[1], ARGV[3], tonumber(ARGV[4])
local done = P .. ':done:' .. token
local ready, leased = P .. ':ready:' .. queue, P .. ':leased:' .. queue
local till = now + tonumber(ARGV[5])

local function answer(ids, attempts, enqueued, till)
  local found = {}
  for first = 1, #ids, 1000 do
    local last = math.min(first + 999, #ids)
    local keys = {}
    for n = first, last do keys[#keys + 1] = P .. ':v:' .. ids[n] end
    for n, value in ipairs(redis.call('MGET', unpack(keys))) do
      local at = first + n - 1
      local place = 4 * at - 3
      found[place], found[place + 1], found[place + 2], found[place + 3] = ids[at], value, enqueued[at], attempts[at]
    end
  end
  return {exact(till), found}
end

local ids, attempts, enqueued = {}, {}, {}

-- the answer was lost: what was taken then is still the caller's
if redis.call('EXISTS', done) == 1 then
  for _, id in ipairs(redis.call('LRANGE', done, 0, -1)) do
    local fields = redis.call('HMGET', P .. ':m:' .. id, 't', 'e', 'a')
    if fields[1] == token then
      ids[#ids + 1], enqueued[#ids + 1], attempts[#ids + 1] = id, fields[2], tonumber(fields[3])
      till = math.min(till, tonumber(redis.call('ZSCORE', leased, id)))
    end
  end
  return answer(ids, attempts, enqueued, till)
end
if ARGV[2] ~= '' then redis.call('DEL', P .. ':done:' .. ARGV[2]) end
join_due()

local ended = redis.call('ZRANGEBYSCORE', leased, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit)
local waiting = redis.call('ZRANGEBYSCORE', ready, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit)
local gone, leases = {}, {}
local at_ended, at_waiting = 1, 1
while #ids < limit do
  local lease_ended = ended[at_ended + 1] and tonumber(ended[at_ended + 1])
  local waits_since = waiting[at_waiting + 1] and tonumber(waiting[at_waiting + 1])
  local id
  if lease_ended and not (waits_since and waits_since <= lease_ended) then
    id = ended[at_ended]
    at_ended = at_ended + 2
  elseif waits_since then
    id = waiting[at_waiting]
    at_waiting = at_waiting + 2
    lease_ended = nil
    gone[#gone + 1] = id
  else
    break
  end
  local key = P .. ':m:' .. id
  local fields = redis.call('HMGET', key, 'e', 'a')
  local attempt = (tonumber(fields[2]) or 0) + 1
  redis.call('HSET', key, 't', token, 'a', attempt)
  if lease_ended then
    local line = string.format('[%.6f,"lease_expired","","",null]\n', lease_ended)
    redis.call('HSET', key, 'f', with_failure(redis.call('HGET', key, 'f'), line))
  end
  local n = #ids + 1
  ids[n], enqueued[n], attempts[n] = id, fields[1], attempt
  leases[#leases + 1] = till
  leases[#leases + 1] = id
end
if #ids == 0 then return {exact(till), {}} end
many('ZREM', ready, gone)
many('ZADD', leased, leases)
many('RPUSH', done, ids)
redis.call('EXPIRE', done, DONE_SECONDS)
return answer(ids, attempts, enqueued, till)
