-- needs: limits outbox
-- Children: a waiting parent has the set of its live children, each child the set of the parents
-- that wait for it. On a cluster a parent or child in another queue is written `queue TAB id`, and
-- what it must be told goes to the outbox.

local function relative(name)
  local queue, id = string.match(name, '^([^\t]+)\t(.+)$')
  if queue then
    return id, queue
  end
  return name, nil
end

function STATES.stop_waiting(record)
  if record.live.blocked ~= 'children' then
    return
  end
  local key = KEY.waits .. record.id
  for _, child in ipairs(redis.call('SMEMBERS', key)) do
    redis.call('SREM', KEY.parents .. child, record.id)
  end
  redis.call('DEL', key)
end

-- One child less; the parent goes on when it was the last.
local function arrived_at(parent, child)
  local key = KEY.waits .. parent
  if redis.call('SREM', key, child) == 1 and redis.call('SCARD', key) == 0 then
    STATES.admit(load(parent), 'children_final')
  end
end

function STATES.tell_parents(record)
  if not record.live.waited then
    return
  end
  local key = KEY.parents .. record.id
  local parents = redis.call('SMEMBERS', key)
  redis.call('DEL', key)
  record.live.waited = false
  table.sort(parents)
  for _, name in ipairs(parents) do
    local parent, queue = relative(name)
    if queue then
      send('arrived', queue, parent, record.live.queue .. '\t' .. record.id)
    else
      arrived_at(parent, record.id)
    end
  end
end

-- Whether a child is live; if so it knows from now on that a parent waits.
local function wait_for(child, parent)
  local record = load(child)
  if not record or is_final(record.live.state) then
    return false
  end
  redis.call('SADD', KEY.parents .. child, parent)
  record.live.waited = true
  changed(record)
  return true
end

-- Blocks a parent on those of its children that are live; `afar` are children in other queues
-- ({queue, id}), of which the relay finds out.
function STATES.wait(record, children, afar)
  local live = 0
  for _, child in ipairs(children) do
    if wait_for(child, record.id) then
      redis.call('SADD', KEY.waits .. record.id, child)
      live = live + 1
    end
  end
  for _, child in ipairs(afar) do
    redis.call('SADD', KEY.waits .. record.id, child[1] .. '\t' .. child[2])
    send('wait', child[1], child[2], record.live.queue .. '\t' .. record.id)
    live = live + 1
  end
  if live > 0 then
    STATES.block(record, 'children', 'waiting')
  else
    STATES.admit(record, 'waiting')
  end
end
