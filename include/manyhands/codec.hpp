#pragma once

#include <manyhands/detail/bytes.hpp>
#include <manyhands/detail/codec_core.hpp>
#include <manyhands/detail/codec_scalars.hpp>
#include <manyhands/detail/codec_sequences.hpp>
#include <manyhands/detail/codec_values.hpp>
#include <manyhands/detail/obstacle.hpp>
