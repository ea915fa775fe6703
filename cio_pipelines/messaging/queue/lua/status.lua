-- ARGV: id. Returns {} or {first bytes of the value, state, attempts, not before, result, failures}.
local id = ARGV[1]
local value = redis.call('HGET', VALUES, id)
local fields = redis.call('HMGET', message(id), 'y', 's', 'a', 'n', 'z', 'f')
local first = value and string.sub(value, 1, 13) or fields[1]
if not first then return {} end
local state, attempts = fields[2] or 'waiting', fields[3]
local held = redis.call('HGET', STATES, id)
if held then
  local lease
  lease, attempts = parts(held)
  if lease ~= '' then
    for _, queue in ipairs(QUEUES) do
      local till = redis.call('ZSCORE', P .. ':leased:' .. queue, id)
      -- when the lease has ended somebody else may take it now
      if till and tonumber(till) > now then state = 'in_flight' end
    end
  end
end
return {first, state, tostring(attempts or 0), fields[4] or '', fields[5] or '', fields[6] or ''}
