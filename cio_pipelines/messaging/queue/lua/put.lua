-- ARGV: token, most messages; of each message: id, queue, line (hashed), line and body,
-- and '' or "keep seconds|not before|key (hashed)|fingerprint".
-- Returns {'kept', earlier ids of duplicates by position ('' for the others)}, {'used', position},
-- or {'full', live, new}.
local done = P .. ':done:' .. ARGV[1]
local most = tonumber(ARGV[2])
local count = (#ARGV - 2) / 5
local is_repeated = redis.call('EXISTS', done) == 1
if not is_repeated then join_due() end

local earlier, seen, texts, values, ready, keys, added = {}, {}, {}, {}, {}, {}, {}
local new = 0

-- first look, then write: all or none
for n = 1, count do
  local at = 5 * n - 2
  local extra = ARGV[at + 4]
  earlier[n] = ''
  if extra ~= '' then
    local keep, later, key, fingerprint = string.match(extra, '^(.-)|(.-)|(.-)|(.*)$')
    keys[n] = {keep = tonumber(keep), later = tonumber(later), key = key, fingerprint = fingerprint}
    if key ~= '' then
      local known = seen[key] or redis.call('GET', P .. ':key:' .. key)
      if known and string.sub(known, 1, 26) ~= ARGV[at] then
        if string.sub(known, 27) == fingerprint then
          earlier[n] = string.sub(known, 1, 26)
        elseif not is_repeated then
          return {'used', n - 1}
        end
      elseif not known then
        seen[key] = ARGV[at] .. fingerprint
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

for n = 1, count do
  if earlier[n] == '' then
    local at = 5 * n - 2
    local id, queue, line = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    local extra = keys[n]
    local is_later = false
    values[#values + 1] = P .. ':v:' .. id
    values[#values + 1] = ARGV[at + 3]
    added[queue] = (added[queue] or 0) + 1
    if extra then
      local fields = {'q', queue, 'h', line, 'e', now}
      if extra.keep then push(fields, 'k', extra.keep) end
      if extra.later then push(fields, 'n', extra.later) end
      if extra.key ~= '' then
        push(fields, 'i', extra.key)
        redis.call('SET', P .. ':key:' .. extra.key, id .. extra.fingerprint)
      end
      redis.call('HSET', P .. ':m:' .. id, unpack(fields))
      is_later = extra.later and extra.later > now
    else
      redis.call('HSET', P .. ':m:' .. id, 'q', queue, 'h', line, 'e', now)
    end
    if is_later then
      redis.call('ZADD', P .. ':due:' .. queue, extra.later, id)
    elseif redis.call('RPUSH', P .. ':line:' .. line, id) == 1 then
      local list = ready[queue]
      if not list then
        list = {}
        ready[queue] = list
      end
      list[#list + 1] = now
      list[#list + 1] = id
    end
  end
end
many('MSET', nil, values)
for queue, list in pairs(ready) do many('ZADD', P .. ':ready:' .. queue, list) end
for queue, number in pairs(added) do redis.call('HINCRBY', P .. ':live', queue, number) end
redis.call('SET', done, '', 'EX', DONE_SECONDS)
return {'kept', earlier}
