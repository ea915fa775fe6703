-- Returns of each queue in turn: live, delayed, in flight, dead, seconds that the oldest one waited,
-- seconds since the oldest dead letter died.
local function first(key)
  local found = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return tonumber(found[2]) or now
end

local function after_now(key) return redis.call('ZCOUNT', key, '(' .. now_text, '+inf') end

local answer = {}
for _, queue in ipairs(QUEUES) do
  local ready, leased = P .. ':ready:' .. queue, P .. ':leased:' .. queue
  local due, dead = P .. ':due:' .. queue, P .. ':dead:' .. queue
  local oldest = math.min(first(ready), first(leased), first(due), now)
  push(
    answer, tonumber(redis.call('HGET', P .. ':live', queue)) or 0, after_now(ready) + after_now(due),
    after_now(leased), redis.call('ZCARD', dead), exact(now - oldest), exact(math.max(0, now - first(dead)))
  )
end
return answer
