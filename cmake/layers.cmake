# Every header of the library, in the order of its layers: a header includes only what stands above it here.
#
# This list is what is installed, what is compiled header by header, what the single header is made of, and what the test `layers` holds the
# includes, the tree and the tests against. A new header goes below everything that it includes.

set(manyhands_headers
    # 0 facts
    manyhands/version.hpp
    manyhands/config.hpp
    manyhands/errors.hpp
    # 1 vocabulary
    manyhands/pre_dispatch.hpp
    manyhands/observer.hpp
    manyhands/options.hpp
    manyhands/this_task.hpp
    manyhands/codec.hpp
    # 3 the seam
    manyhands/backend.hpp)
