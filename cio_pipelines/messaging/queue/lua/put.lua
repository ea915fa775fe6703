-- ARGV: token, most messages; of each message: id, queue or "queue|keep seconds|not before|key|fingerprint",
-- line, value.
-- Returns {'kept', earlier ids of duplicates by position ('' for the others)}, {'used', position},
-- or {'full', live, new}.
local done = P .. ':done:' .. ARGV[1]
local most = tonumber(ARGV[2])
local is_repeated = redis.call('EXISTS', done) == 1
if not is_repeated then join_due() end

local earlier, seen, extras, new = {}, {}, {}, 0

-- first look, then write: all or none
for at = 3, #ARGV, 4 do
  local n = (at + 1) / 4
  local id = ARGV[at]
  earlier[n] = ''
  local queue, keep, later, key, fingerprint = string.match(ARGV[at + 1], '^(.-)|(.-)|(.-)|(.-)|(.*)$')
  if queue then
    extras[n] = {queue = queue, keep = tonumber(keep), later = tonumber(later), key = key, fingerprint = fingerprint}
    if key ~= '' then
      local known = seen[key] or redis.call('GET', P .. ':key:' .. key)
      if not known then
        seen[key] = id .. fingerprint
      elseif string.sub(known, 1, ID) ~= id then
        if string.sub(known, ID + 1) == fingerprint then
          earlier[n] = string.sub(known, 1, ID)
        elseif not is_repeated then
          return {'used', n - 1}
        end
      end
    end
  end
  if earlier[n] == '' then new = new + 1 end
end
if is_repeated then return {'kept', earlier} end
if new > 0 then
  local live = 0
  for _, number in ipairs(redis.call('HVALS', P .. ':live')) do live = live + number end
  if live + new > most then return {'full', live, new} end
end

local lines, counts, values, states, ready, added = {}, {}, {}, {}, {}, {}
for at = 3, #ARGV, 4 do
  local line = ARGV[at + 2]
  if not counts[line] then
    counts[line] = 0
    lines[#lines + 1] = line
  end
end
for n, count in ipairs(fetch(LINES, lines)) do counts[lines[n]] = tonumber(count) or 0 end

for at = 3, #ARGV, 4 do
  local n = (at + 1) / 4
  if earlier[n] == '' then
    local id, queue, line, value = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local extra = extras[n]
    local is_later = false
    if extra then
      queue = extra.queue
      local fields = {'q', queue, 'l', line, 'y', string.sub(value, 1, 13)}
      if extra.keep then push(fields, 'k', exact(extra.keep)) end
      if extra.later then push(fields, 'n', exact(extra.later)) end
      if extra.key ~= '' then
        push(fields, 'i', extra.key)
        redis.call('SET', P .. ':key:' .. extra.key, id .. extra.fingerprint)
      end
      redis.call('HSET', message(id), unpack(fields))
      push(states, id, '|0|m')
      is_later = extra.later and extra.later > now
    end
    values[#values + 1] = id
    values[#values + 1] = value
    added[queue] = (added[queue] or 0) + 1
    if is_later then
      redis.call('ZADD', P .. ':due:' .. queue, exact(extra.later), id)
    else
      if counts[line] == 0 then
        into(ready, queue, now_text, id)
      else
        redis.call('RPUSH', followers(line), id .. now_text .. '|' .. queue)
      end
      counts[line] = counts[line] + 1
    end
  end
end
local changed = {}
for _, line in ipairs(lines) do
  -- that of a scheduled message may still be empty
  if counts[line] > 0 then
    changed[#changed + 1] = line
    changed[#changed + 1] = counts[line]
  end
end
many('HSET', LINES, changed)
many('HSET', VALUES, values)
many('HSET', STATES, states)
for queue, list in pairs(ready) do many('ZADD', P .. ':ready:' .. queue, list) end
for queue, number in pairs(added) do redis.call('HINCRBY', P .. ':live', queue, number) end
redis.call('SET', done, '', 'EX', DONE_SECONDS)
return {'kept', earlier}
