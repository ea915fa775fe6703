-- ARGV: token (which becomes the lease), token of the caller's take before, queue, limit, lease seconds.
-- Returns {end of the lease, ids, values, attempts}.
local token, queue, limit = ARGV[1], ARGV[3], tonumber(ARGV[4])
local done = P .. ':done:' .. token
local ready, leased = P .. ':ready:' .. queue, P .. ':leased:' .. queue

-- the answer was lost: what was taken then is still the caller's
if redis.call('EXISTS', done) == 1 then
  local before = redis.call('LRANGE', done, 0, -1)
  local till, ids, attempts = now + tonumber(ARGV[5]), {}, {}
  for n, state in ipairs(fetch(STATES, before)) do
    local lease, attempt = parts(state)
    if lease == token then
      ids[#ids + 1], attempts[#attempts + 1] = before[n], attempt
      till = math.min(till, tonumber(redis.call('ZSCORE', leased, before[n])))
    end
  end
  return {exact(till), ids, fetch(VALUES, ids), attempts}
end
-- in any case: a script that first frees something may go on when the server's memory is full
redis.call('DEL', P .. ':done:' .. ARGV[2])
join_due()

-- the longest waiting first, of those whose lease ended and those nobody took yet
local ended = redis.call('ZRANGEBYSCORE', leased, '-inf', now_text, 'WITHSCORES', 'LIMIT', 0, limit)
local waiting = redis.call('ZRANGEBYSCORE', ready, '-inf', now_text, 'WITHSCORES', 'LIMIT', 0, limit)
local ids, gone, expired = {}, {}, {}
local at_ended, at_waiting = 1, 1
while #ids < limit do
  local id = waiting[at_waiting]
  if ended[at_ended] and not (id and tonumber(waiting[at_waiting + 1]) <= tonumber(ended[at_ended + 1])) then
    id = ended[at_ended]
    expired[id] = tonumber(ended[at_ended + 1])
    at_ended = at_ended + 2
  elseif id then
    gone[#gone + 1] = id
    at_waiting = at_waiting + 2
  else
    break
  end
  ids[#ids + 1] = id
end
local till = exact(now + tonumber(ARGV[5]))
if #ids == 0 then return {till, {}, {}, {}} end

local leases, states, attempts = {}, {}, {}
for n, state in ipairs(fetch(STATES, ids)) do
  local id = ids[n]
  local _, attempt, more = parts(state)
  attempt = attempt + 1
  if expired[id] then
    add_failure(id, string.format('[%.6f,"lease_expired","","",null]\n', expired[id]))
    more = 'm'
  end
  attempts[n] = attempt
  leases[2 * n - 1], leases[2 * n] = till, id
  states[2 * n - 1], states[2 * n] = id, token .. '|' .. attempt .. '|' .. more
end
many('HSET', STATES, states)
many('ZREM', ready, gone)
many('ZADD', leased, leases)
many('RPUSH', done, ids)
redis.call('EXPIRE', done, DONE_SECONDS)
return {till, ids, fetch(VALUES, ids), attempts}
