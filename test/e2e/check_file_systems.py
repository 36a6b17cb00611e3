# SPDX-License-Identifier: Apache-2.0
#
# usage: check_file_systems.py MODEL.so FOLDER
#
# Generates with a copy of the model on a tmpfs and on an overlay of our own,
# mounted over FOLDER, and in a process that may have no huge pages, with every
# --huge-pages: the tokens are those of the original.
import ctypes
import subprocess
import sys

model, folder = sys.argv[1:]
COMMAND = "fairy2-run {} --prompt-ids 1,2,3 -n 8 --ignore-eos --json"
MOUNTS = {
    "tmpfs": f"mount -t tmpfs none {folder}",
    # The file lies in the lower layer, as an image's files do.
    "overlay": f"mkdir -p {folder}.lower {folder}.upper {folder}.work &&"
               f" cp {model} {folder}.lower/model.so &&"
               f" mount -t overlay none {folder} -o lowerdir={folder}.lower,"
               f"upperdir={folder}.upper,workdir={folder}.work",
}


def tokens(script, **more):
    text = subprocess.run(["sh", "-ec", script], check=True, text=True,
                          stdout=subprocess.PIPE, **more).stdout
    return [line.split('"ids":')[1].split("]")[0]
            for line in text.splitlines()]


def with_all_pages(path):
    return "\n".join(f"{COMMAND.format(path)} --huge-pages {pages}"
                     for pages in ["auto", "copy", "off"])


def no_huge_pages():
    PR_SET_THP_DISABLE = 41
    assert ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0


expected = 3 * tokens(COMMAND.format(model))
assert tokens(with_all_pages(model)) == expected
for name, mount in MOUNTS.items():
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    if subprocess.run([*own, mount], capture_output=True).returncode != 0:
        print(f"{name}: skipped, no mount of our own here")
        continue
    script = f"""{mount}
test -e {folder}/model.so || cp {model} {folder}/model.so
{with_all_pages(folder + "/model.so")}"""
    text = subprocess.run([*own, script], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    found = [line.split('"ids":')[1].split("]")[0]
             for line in text.splitlines()]
    assert found == expected, (name, text)
    print(f"{name}: the same tokens")
assert tokens(with_all_pages(model), preexec_fn=no_huge_pages) == expected
print("no huge pages: the same tokens")
