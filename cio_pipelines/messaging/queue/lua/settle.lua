-- ARGV: token, queue; of each settlement: id, lease, line, and what became of the message:
--   "D<result>" delivered; "R<time>|<failure or nothing>" to be retried, "U…" the same, the attempt does not
--   count; "B<length of the reason>:<reason><failure>" buried.
-- Returns how many leases were no longer held.
local done = P .. ':done:' .. ARGV[1]
local known = redis.call('GET', done)
if known then return tonumber(known) end
-- a script that first frees something may go on when the server's memory is full
redis.call('DEL', done)

local queue = ARGV[2]
local ids = {}
for at = 3, #ARGV, 4 do ids[#ids + 1] = ARGV[at] end

local stale, ended = 0, 0
local released, ready, forgotten, states, lines = {}, {}, {}, {}, {}

local function finish(id, line)
  ended = ended + 1
  lines[#lines + 1] = line
  forgotten[#forgotten + 1] = id
end

local function keep_delivered(id, attempts, result)
  local fields = redis.call('HMGET', message(id), 'k', 'i')
  local milliseconds = math.ceil((tonumber(fields[1]) or 0) * 1000)
  if milliseconds <= 0 then
    redis.call('UNLINK', message(id))
    if fields[2] then redis.call('UNLINK', P .. ':key:' .. fields[2]) end
    return
  end
  -- who it was for is forgotten at once
  redis.call('HDEL', message(id), 'l')
  redis.call('HSET', message(id), 's', 'delivered', 'a', attempts, 'z', result)
  redis.call('PEXPIRE', message(id), milliseconds)
  if fields[2] then redis.call('PEXPIRE', P .. ':key:' .. fields[2], milliseconds) end
end

for n, state in ipairs(fetch(STATES, ids)) do
  local id, at = ids[n], 4 * n - 1
  local lease, line, fate = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local holder, attempts, more = parts(state)
  if holder == '' or holder ~= lease then
    stale = stale + 1
  elseif released[id] then
    stale = stale + 1 -- twice in one call
  else
    released[id] = true
    released[#released + 1] = id
    local kind = string.sub(fate, 1, 1)
    if kind == 'D' then
      if more == 'm' then keep_delivered(id, attempts, string.sub(fate, 2)) end
      finish(id, line)
    elseif kind == 'B' then
      local length, rest = string.match(fate, '^B(%d+):(.*)$')
      local reason = string.sub(rest, 1, length)
      add_failure(id, string.sub(rest, length + 1))
      redis.call(
        'HSET', message(id), 'q', queue, 'l', line, 's', 'dead', 'a', attempts, 'r', reason, 'd', now_text
      )
      redis.call('ZADD', P .. ':dead:' .. queue, now_text, id)
      finish(id, line)
      forgotten[#forgotten] = nil -- its value stays
      redis.call('HDEL', STATES, id)
    else
      local time, failure = string.match(fate, '^.(.-)|(.*)$')
      if kind == 'U' then attempts = attempts - 1 end
      if failure ~= '' then
        add_failure(id, failure)
        more = 'm'
      end
      push(ready, time, id)
      push(states, id, '|' .. attempts .. '|' .. more)
    end
  end
end

-- where the first one of a line ended the next one may go
local empty, changed, lists = {}, {}, {}
for n, count in ipairs(fetch(LINES, lines)) do
  local line = lines[n]
  if tonumber(count) > 1 then
    push(changed, line, count - 1)
    local id, since, name = string.match(redis.call('LPOP', followers(line)), '^(' .. ('.'):rep(ID) .. ')(.-)|(.*)$')
    into(lists, name, since, id)
  else
    empty[#empty + 1] = line
  end
end
many('ZREM', P .. ':leased:' .. queue, released)
many('HDEL', VALUES, forgotten)
many('HDEL', STATES, forgotten)
many('HDEL', LINES, empty)
many('HSET', LINES, changed)
many('HSET', STATES, states)
many('ZADD', P .. ':ready:' .. queue, ready)
for name, list in pairs(lists) do many('ZADD', P .. ':ready:' .. name, list) end
if ended > 0 then redis.call('HINCRBY', P .. ':live', queue, -ended) end
redis.call('SET', done, stale, 'EX', DONE_SECONDS)
return stale
