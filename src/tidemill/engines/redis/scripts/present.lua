-- needs: records
-- present: which of some tasks are here.
-- ARGV[3] msgpack: {id, …}. Answers 2 for one that is live, 1 for one that is final, else 0, for each.

local answers = {}
for at, id in ipairs(cmsgpack.unpack(ARGV[3])) do
  local row = redis.call('HGET', KEY.task .. id, 'live')
  answers[at] = row and (is_final(STATE_NAMES[string.byte(row)]) and 1 or 2) or 0
end
return answers
