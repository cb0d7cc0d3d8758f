-- Keys: ROOT and KEY stand before this (keys.py). Numbers in texts must be whole: Lua would round.

local function whole(number)
  return string.format('%.0f', number)
end
