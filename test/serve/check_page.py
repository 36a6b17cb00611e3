# SPDX-License-Identifier: Apache-2.0
#
# usage: check_page.py CHECKPOINT WORK_DIR
#
# The page in a browser without a window: people send, stop, edit and
# regenerate by keyboard; nothing that they or the model write becomes markup;
# it asks no other server; it fits a phone; and axe finds nothing where its wheel
# is installed.
import json
import os
import shutil
import subprocess
import sys
import time

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from server import LIMIT, Server, expect, finish

CHECKPOINT, WORK = sys.argv[1:]
TEMPLATE = ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}assistant:{% endif %}")
HOSTILE = ("<img src=x onerror=alert(1)> [x](javascript:alert(2)) "
           "</script><script>alert(3)</script>")
# What markdown.js makes of a text, as tags and texts.
CASES = [
    ("# A *b* `c`", "<h3>A <em>b</em> <code>c</code></h3>"),
    ("a\nb\n\nc", "<p>a\nb</p><p>c</p>"),
    ("snake_case_name and 2 * 3 * 4", "<p>snake_case_name and 2 * 3 * 4</p>"),
    ("**b** __c__ ~~d~~ \\*e\\*",
     "<p><strong>b</strong> <strong>c</strong> <s>d</s> *e*</p>"),
    ("1. a\n2. b\n   - c\n\nd",
     "<ol><li>a</li><li>b<ul><li>c</li></ul></li></ol><p>d</p>"),
    ("> q\n> r", "<blockquote><p>q\nr</p></blockquote>"),
    ("|a|b|\n|-|:-:|\n|1|`x\\|y`|",
     "<div><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr>"
     "<td>1</td><td><code>x|y</code></td></tr></tbody></table></div>"),
    ("```py\n<b>*x*\n", "<div><pre><code><b>*x*\n</code></pre></div>"),
    ("[t](https://e.org/a_(b)) https://e.org/x.",
     "<p><a>t</a> <a>https://e.org/x</a>.</p>"),
    ("[t](javascript:alert(1)) ![i](https://e.org/i.png)",
     "<p>[t](javascript:alert(1)) !<a>i</a></p>"),
    (HOSTILE, "<p>" + HOSTILE + "</p>"),
    ("> " * 100000 + "x", None),
]
TELL = """
const tell = (node) => node.nodeType === 3 ? node.data
    : `<${node.tagName.toLowerCase()}>` + [...node.childNodes].map(tell).join('')
      + `</${node.tagName.toLowerCase()}>`;
const done = arguments[arguments.length - 1];
import('/markdown.js').then(({markdown}) =>
    done(markdown(arguments[0]).map(tell).join('')));
"""


def options():
    made = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage",
                   "--disable-background-networking", "--window-size=1000,800"):
        made.add_argument(option)
    made.set_capability("goog:loggingPrefs",
                        {"performance": "ALL", "browser": "ALL"})
    return made


def wait(what, condition):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except StaleElementReferenceException:
            pass  # the page has just made it anew
        time.sleep(0.05)
    expect(what, False, "never")
    finish()


def main():
    model = os.path.join(WORK, "model")
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(CHECKPOINT, model)
    with open(os.path.join(model, "chat_template.jinja"), "w") as file:
        file.write(TEMPLATE)
    library = os.path.join(WORK, "chat.so")
    subprocess.run(["fairy2-compile", model, "-o", library, "--stages=1",
                    "--target=x86-64-v2"], check=True, capture_output=True)
    # Debian's driver; selenium would look for another one on the network.
    driver = webdriver.Chrome(
        options=options(), service=webdriver.ChromeService(
            executable_path=shutil.which("chromedriver")))
    driver.set_script_timeout(LIMIT)
    try:
        with Server(library) as server:
            check(driver, server)
    finally:
        driver.quit()
    finish()


def check(driver, server):
    def at(name):
        return driver.find_element(By.ID, name)

    def articles():
        return driver.find_elements(By.CSS_SELECTOR, "#log article")

    def said(number):
        return articles()[number].find_element(By.CLASS_NAME, "said").text

    def status(words):
        wait(words, lambda: words in at("status").text)

    def press(number, words):
        for button in articles()[number].find_elements(By.TAG_NAME, "button"):
            if button.text == words:
                button.send_keys(Keys.ENTER)
                return
        expect(f"a button {words}", False, articles()[number].text)

    def keys(*pressed):
        driver.switch_to.active_element.send_keys(*pressed)

    driver.get(server.url)
    wait("the model's name", lambda: at("model").text == "chat")
    for text, expected in CASES:
        found = driver.execute_async_script(TELL, text)
        if expected is not None:
            expect(text[:60], found == expected, found)

    # By keyboard alone: the input has the focus.
    at("toggle").click()
    for name, value in (("temperature", "0"), ("max_tokens", "30")):
        at(name).send_keys(value)
    at("toggle").click()
    at("text").click()
    keys("Once upon", Keys.SHIFT, Keys.ENTER, Keys.NULL, "a time", Keys.ENTER)
    status("Done.")
    expect("two messages", len(articles()) == 2, len(articles()))
    expect("what was typed", said(0) == "Once upon\na time", said(0))
    first = said(1)
    expect("an answer", len(first) > 5, first)
    note = articles()[1].find_element(By.CLASS_NAME, "note").text
    expect("its speed and length", "tokens/s" in note and "context" in note,
           note)
    expect("the focus stays",
           driver.switch_to.active_element.get_attribute("id") == "text")
    press(1, "Regenerate")
    status("Done.")
    wait("the same again", lambda: said(1) == first)

    # Stop, by Esc.
    at("toggle").click()
    at("max_tokens").clear()
    at("max_tokens").send_keys("100000")
    at("temperature").clear()
    at("temperature").send_keys("1.5")
    at("toggle").click()
    at("text").click()
    keys("and then", Keys.ENTER)
    wait("a beginning", lambda: len(articles()) == 4 and len(said(3)) > 3)
    keys(Keys.ESCAPE)
    wait("its end", lambda: at("stop").get_attribute("hidden"))
    running = 'fairy2_sequences{state="running"} 0'
    wait("nothing runs", lambda: running in server.ask("GET", "/metrics")[2])

    # Edit: what follows goes.
    press(0, "Edit")
    at("text").clear()
    at("max_tokens")
    driver.execute_script("document.getElementById('max_tokens').value = '5'")
    at("text").send_keys(HOSTILE, Keys.ENTER)
    status("Done.")
    expect("the edited one and its answer", len(articles()) == 2)
    expect("it is text", said(0) == HOSTILE, said(0))
    expect("no element of it", not driver.find_elements(
        By.CSS_SELECTOR, "#log img, #log script, #log a[href^=javascript]"))

    # The chat is there again, and another one can be begun.
    driver.refresh()
    wait("the chat in the list", lambda: len(at("chats").find_elements(
        By.TAG_NAME, "option")) == 2)
    expect("a new one is shown", not articles())

    # A phone; light and dark.
    for width in (375, 1000):
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 700, "deviceScaleFactor": 1,
            "mobile": width < 500})
        wide = driver.execute_script(
            "return document.documentElement.scrollWidth")
        expect(f"{width} pixels", wide <= width, wide)
    colors = set()
    for scheme in ("light", "dark"):
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": scheme}]})
        wait(scheme, lambda: scheme == driver.execute_script(
            "return document.documentElement.className"))
        colors.add(driver.execute_script(
            "return getComputedStyle(document.body).backgroundColor"))
        check_axe(driver, scheme)
    expect("two looks", len(colors) == 2, colors)

    # It asked nobody else, and the console is empty.
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            expect("requests", url.startswith((server.url, "data:", "chrome:")),
                   url)
    console = [entry for entry in driver.get_log("browser")
               if entry["level"] == "SEVERE"]
    expect("the console", not console, console)


def check_axe(driver, scheme):
    try:
        from axe_playwright_python.base import AXE_FILE_PATH as path
    except ImportError:
        return
    with open(path) as file:
        driver.execute_cdp_cmd("Runtime.evaluate", {"expression": file.read()})
    found = driver.execute_async_script(
        "const done = arguments[0];"
        "axe.run().then((r) => done(r.violations.map((v) => v.id + ': ' + "
        "v.nodes.map((n) => n.html).join(' '))))")
    expect(f"axe, {scheme}", not found, found)


main()
