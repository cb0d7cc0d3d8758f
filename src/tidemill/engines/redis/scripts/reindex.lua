-- reindex: make the index again, one part of the keyspace at a time.
-- ARGV[3] msgpack: {cursor, limit}; a cursor of '' begins: what was there is forgotten first.
-- Answers the next cursor ('0' when done) and how many tasks were shown.

local request = cmsgpack.unpack(ARGV[3])
local cursor = request[1]
if cursor == '' then
  redis.call('HSET', KEY.indexed, 'told', LEDGER.told, 'making', LEDGER.told)
  redis.call('HDEL', KEY.indexed, 'cut')
  cursor = '0'
end
local escaped = string.gsub(ROOT, '([%[%]%*%?\\])', '\\%1')
local found = redis.call('SCAN', cursor, 'MATCH', escaped .. NAMES.task .. '*', 'COUNT', request[2])
local shown = 0
for _, key in ipairs(found[2]) do
  local record = load(string.sub(key, #KEY.task + 1))
  if record then
    record.shown = false
    show(record)
    shown = shown + 1
  end
end
save_index()
if found[1] == '0' then
  redis.call('HDEL', KEY.indexed, 'making')
end
return {found[1], shown}
