-- index: bring what people search by up to date with the feed.
-- ARGV[3] msgpack: {limit}: transitions to look at, at most (whole batches).
-- Answers how many are left; -1 when the feed was cut before they were looked at, so that the index
-- must be made again.

local limit = cmsgpack.unpack(ARGV[3])[1]
local at = tonumber(redis.call('HGET', KEY.indexed, 'told') or 0)
if at > LEDGER.told then
  at = 0
end
local done, number = {}, 0
local after = '(' .. whole(at)
local cut = false
while number < limit and at < LEDGER.told do
  local found = redis.call('XRANGE', KEY.feed, after, '+', 'COUNT', 10)
  if #found == 0 then
    break
  end
  for _, raw in ipairs(found) do
    local upto = tonumber(string.match(raw[1], '^%d+'))
    local told = tonumber(raw[2][4])
    if upto - told > at then
      cut = true
    end
    for _, group in ipairs(cmsgpack.unpack(raw[2][6])) do
      for place_of_id = 7, #group do
        local id = group[place_of_id]
        local record = not done[id] and load(id)
        done[id] = true
        if record then
          show(record)
        end
      end
    end
    at, number, after = upto, number + told, '(' .. raw[1]
    if number >= limit then
      break
    end
  end
end
save_index()
redis.call('HSET', KEY.indexed, 'told', at)
if cut then
  redis.call('HSET', KEY.indexed, 'cut', 1)
  return -1
end
return LEDGER.told - at
